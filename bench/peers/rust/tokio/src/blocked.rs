// SPDX-License-Identifier: MIT
//
// Many tasks that wait: cancel, blocked, queued, timers and delayed. They are blocked on a watch channel, which all of them can receive
// from; cancelled by aborting the set that they are in.
use crate::serve::{cpu_time, pick, require, Question};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch, Semaphore};
use tokio::task::JoinSet;

/// Bytes of memory that the process has resident.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096.0
}

async fn until(count: &AtomicUsize, wanted: usize) {
    while count.load(Ordering::Relaxed) < wanted {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn cancel() -> Vec<f64> {
    const TASKS: usize = 10000;
    let blocked = Arc::new(AtomicUsize::new(0));
    let (gate, never) = watch::channel(());
    let (alarm, alarmed) = oneshot::channel();
    let mut set = JoinSet::new();
    set.spawn(async move {
        alarmed.await.unwrap();
        Err(())
    });
    for _ in 0..TASKS {
        let (blocked, mut never) = (blocked.clone(), never.clone());
        set.spawn(async move {
            blocked.fetch_add(1, Ordering::Relaxed);
            never.changed().await.map_err(|_| ())
        });
    }
    until(&blocked, TASKS).await;
    tokio::time::sleep(Duration::from_millis(5)).await; // for the last of them to get from its count to the channel
    let begin = Instant::now();
    let mut cancelled = 0;
    alarm.send(()).unwrap();
    while let Some(result) = set.join_next().await {
        match result {
            Ok(Err(())) => set.abort_all(),
            Err(error) if error.is_cancelled() => cancelled += 1,
            _ => require(false, "a task's end"),
        }
    }
    let took = begin.elapsed();
    drop(gate);
    require(cancelled == TASKS, "tasks that were cancelled");
    vec![took.as_nanos() as f64 / 1e6]
}

async fn blocked(tasks: usize, before: f64) -> Vec<f64> {
    let there = Arc::new(AtomicUsize::new(0));
    let let_go = Arc::new(AtomicUsize::new(0));
    let (gate, closed) = watch::channel(());
    let mut set = JoinSet::new();
    let begin = Instant::now();
    for _ in 0..tasks {
        let (there, let_go, mut closed) = (there.clone(), let_go.clone(), closed.clone());
        set.spawn(async move {
            there.fetch_add(1, Ordering::Relaxed);
            if closed.changed().await.is_err() {
                let_go.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    until(&there, tasks).await;
    let figures = vec![begin.elapsed().as_nanos() as f64 / tasks as f64, (resident() - before) / tasks as f64];
    drop(gate);
    crate::join_all(set).await;
    require(let_go.load(Ordering::Relaxed) == tasks, "tasks that were let go");
    figures
}

async fn queued(tasks: usize, before: f64) -> Vec<f64> {
    const LIMIT: u32 = 8;
    let slots = Arc::new(Semaphore::new(LIMIT as usize));
    let ran = Arc::new(AtomicUsize::new(0));
    let all = slots.clone().acquire_many_owned(LIMIT).await.unwrap();
    let mut set = JoinSet::new();
    let begin = Instant::now();
    for _ in 0..tasks {
        let (slots, ran) = (slots.clone(), ran.clone());
        set.spawn(async move {
            let _slot = slots.acquire().await.unwrap();
            ran.fetch_add(1, Ordering::Relaxed);
        });
    }
    let figures = vec![begin.elapsed().as_nanos() as f64 / tasks as f64, (resident() - before) / tasks as f64];
    require(ran.load(Ordering::Relaxed) == 0, "tasks that waited");
    drop(all);
    crate::join_all(set).await;
    require(ran.load(Ordering::Relaxed) == tasks, "tasks that ran");
    figures
}

/// The delays are the same for everybody: timers.h.
fn next_delay(state: &mut u64, span: Duration) -> Duration {
    *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    Duration::from_nanos(((*state >> 33) * span.as_nanos() as u64) >> 31)
}

async fn timers(n: usize, span: Duration) -> Vec<f64> {
    let mut random = 1;
    let mut set = JoinSet::new();
    let cpu = cpu_time();
    for _ in 0..n {
        let delay = next_delay(&mut random, span);
        let due = Instant::now() + delay;
        set.spawn(async move {
            tokio::time::sleep(delay).await;
            require(Instant::now() >= due, "a timer that was early");
            due.elapsed().as_nanos() as f64
        });
    }
    let mut late = Vec::with_capacity(n);
    while let Some(result) = set.join_next().await {
        late.push(result.unwrap());
    }
    let cpu = cpu_time() - cpu;
    require(late.len() == n, "timers that came");
    late.sort_by(|a, b| a.partial_cmp(b).unwrap());
    vec![cpu / 1e9, late[(0.99 * (n - 1) as f64) as usize] / 1e6]
}

async fn delayed(tasks: usize, before: f64) -> Vec<f64> {
    let mut set: JoinSet<()> = JoinSet::new();
    let begin = Instant::now();
    for i in 0..tasks {
        set.spawn(async move {
            tokio::time::sleep(Duration::from_secs(3600) + Duration::from_nanos(i as u64)).await;
            require(false, "a task that was to be cancelled");
        });
    }
    let figures = vec![begin.elapsed().as_nanos() as f64 / tasks as f64, (resident() - before) / tasks as f64];
    set.abort_all();
    let mut cancelled = 0;
    while let Some(result) = set.join_next().await {
        cancelled += result.unwrap_err().is_cancelled() as usize;
    }
    require(cancelled == tasks, "tasks that were cancelled");
    figures
}

pub fn questions(rt: &Arc<Runtime>) -> Vec<Question> {
    let before = resident();
    let (few, many) = (pick(1000000, 50000), pick(1000000, 100000));
    let (starts, span) = (pick(1000000, 50000), Duration::from_millis(pick(2000, 200) as u64));
    vec![
        crate::ask(rt, "cancel", "ms", cancel),
        crate::ask(rt, "blocked", "ns/task\tmemory\tbytes/task", move || blocked(few, before)),
        crate::ask(rt, "queued", "ns/task\tmemory\tbytes/task", move || queued(many, before)),
        crate::ask(rt, "timers", "CPU s\tlate\tms", move || timers(starts, span)),
        crate::ask(rt, "delayed", "ns/task\tmemory\tbytes/task", move || delayed(many, before)),
    ]
}
