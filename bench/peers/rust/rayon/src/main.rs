// SPDX-License-Identifier: MIT
//
// The questions that rayon can answer: those about fork and join. It has no channels, limits or timers.
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[path = "../../serve.rs"]
#[allow(dead_code)]
mod serve;
use serve::{cpu_time, pick, require, timed, Question};

const CHILDREN: usize = 10;

/// Groups of tasks that tick, or, without a counter, do nothing.
fn groups(groups: usize, tasks: usize, ticks: Option<&AtomicUsize>) {
    for _ in 0..groups {
        rayon::scope(|scope| {
            for _ in 0..tasks {
                scope.spawn(|_| {
                    if let Some(ticks) = ticks {
                        ticks.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
    }
}

/// Empty tasks leave no trace, so they first run once, untimed, with tasks that tick.
fn empty(name: &'static str, count: usize, tasks: usize) -> Question {
    let checked = std::sync::Once::new();
    timed(name, "ns/task", count * tasks, move || {
        checked.call_once(|| check(count, tasks));
        groups(count, tasks, None)
    })
}

fn check(count: usize, tasks: usize) {
    let ticks = AtomicUsize::new(0);
    groups(count, tasks, Some(&ticks));
    require(ticks.into_inner() == count * tasks, "tasks that ran");
}

fn fib(n: usize) -> usize {
    if n < 2 {
        return n;
    }
    let (first, second) = rayon::join(|| fib(n - 1), || fib(n - 2));
    first + second
}

fn visit(first: usize, leaves: usize) -> usize {
    if leaves == 1 {
        return first;
    }
    let leaves = leaves / CHILDREN;
    (0..CHILDREN).into_par_iter().map(|i| visit(first + i * leaves, leaves)).sum()
}

fn idle() -> Question {
    let span = Duration::from_millis(pick(2000, 300) as u64);
    let run = Box::new(move || {
        check(100, 1000);
        let cpu = cpu_time();
        std::thread::sleep(span);
        vec![(cpu_time() - cpu) / 1e3]
    });
    Question { name: "idle", units: "us of CPU", run }
}

fn questions() -> Vec<Question> {
    let (n, result, spawns) = (pick(32, 26), pick(2178309, 121393), pick(3524577, 196417));
    let leaves = pick(1000000, 100000);
    vec![
        empty("spawn", 1, pick(1000000, 100000)),
        empty("small_groups", pick(100000, 10000), 10),
        empty("groups_1000", pick(1000, 100), 1000),
        timed("fib", "ns/spawn", spawns, move || require(fib(n) == result, "fib")),
        timed("skynet", "ns/task", leaves * CHILDREN / (CHILDREN - 1), move || {
            require(visit(0, leaves) == leaves * (leaves - 1) / 2, "the sum of the leaves")
        }),
        idle(),
    ]
}

/// Everything runs in the pool: whoever calls in from outside waits for a thread of it to wake up.
fn main() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(serve::threads()).build().unwrap();
    pool.install(|| serve::serve(env!("PEER_VERSION"), questions()));
}
