// SPDX-License-Identifier: MIT
//
// Groups of empty tasks: spawn, small_groups and groups_1000; and idle, which is what comes after them.
use crate::serve::{cpu_time, pick, require, timed, Question};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

async fn groups(groups: usize, tasks: usize) {
    for _ in 0..groups {
        let mut set = JoinSet::new();
        for _ in 0..tasks {
            set.spawn(async {});
        }
        crate::join_all(set).await;
    }
}

/// Empty tasks leave no trace, so they first run once, untimed, as tasks that tick.
async fn check(groups: usize, tasks: usize) {
    let ticks = Arc::new(AtomicUsize::new(0));
    for _ in 0..groups {
        let mut set = JoinSet::new();
        for _ in 0..tasks {
            let ticks = ticks.clone();
            set.spawn(async move {
                ticks.fetch_add(1, Ordering::Relaxed);
            });
        }
        crate::join_all(set).await;
    }
    require(ticks.load(Ordering::Relaxed) == groups * tasks, "tasks that ran");
}

fn empty(rt: &Arc<Runtime>, name: &'static str, count: usize, tasks: usize) -> Question {
    let rt = rt.clone();
    let checked = Once::new();
    timed(name, "ns/task", count * tasks, move || {
        checked.call_once(|| crate::as_task(&rt, check(count, tasks)));
        crate::as_task(&rt, groups(count, tasks))
    })
}

async fn idle(span: Duration) -> Vec<f64> {
    check(100, 1000).await;
    let cpu = cpu_time();
    tokio::time::sleep(span).await;
    vec![(cpu_time() - cpu) / 1e3]
}

pub fn questions(rt: &Arc<Runtime>) -> Vec<Question> {
    let span = Duration::from_millis(pick(2000, 300) as u64);
    vec![
        empty(rt, "spawn", 1, pick(1000000, 100000)),
        empty(rt, "small_groups", pick(100000, 10000), 10),
        empty(rt, "groups_1000", pick(1000, 100), 1000),
        crate::ask(rt, "idle", "us of CPU", move || idle(span)),
    ]
}
