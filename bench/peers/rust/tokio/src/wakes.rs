// SPDX-License-Identifier: MIT
//
// How soon a task goes on: wake, ready_computing and ready_blocked. Tasks that compute yield every 100 µs; what blocks its thread goes to
// the runtime's threads for that.
use crate::serve::{pick, require, threads, Question};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

const PAUSE: Duration = Duration::from_millis(2);
const SLICE: Duration = Duration::from_micros(100);

fn median_and_99(mut late: Vec<f64>) -> Vec<f64> {
    let at = |share: f64| (share * (late.len() - 1) as f64) as usize;
    let (middle, most) = (at(0.5), at(0.99));
    late.sort_by(|a, b| a.partial_cmp(b).unwrap());
    vec![late[middle] / 1e3, late[most] / 1e3]
}

/// Main is a plain thread here, and the channel back one for such.
fn wake(rt: &Runtime, wakes: usize) -> Vec<f64> {
    let (there, mut received) = mpsc::unbounded_channel::<Instant>();
    let (back, late) = std::sync::mpsc::channel();
    let task = rt.spawn(async move {
        while let Some(sent) = received.recv().await {
            back.send(sent.elapsed().as_nanos() as f64).unwrap();
        }
    });
    let once = |_| {
        std::thread::sleep(PAUSE);
        there.send(Instant::now()).unwrap();
        late.recv().unwrap()
    };
    let figures = median_and_99((0..wakes).map(once).collect());
    drop(there);
    rt.block_on(task).unwrap();
    figures
}

async fn sleeper(busy: Arc<AtomicUsize>, sleeps: usize) -> Vec<f64> {
    while busy.load(Ordering::Relaxed) < threads() {
        tokio::time::sleep(PAUSE).await;
    }
    let mut late = Vec::with_capacity(sleeps);
    for _ in 0..sleeps {
        let due = Instant::now() + PAUSE;
        tokio::time::sleep(PAUSE).await;
        require(Instant::now() >= due, "a sleep that was too short");
        late.push(due.elapsed().as_nanos() as f64);
    }
    late
}

async fn ready_computing(sleeps: usize) -> Vec<f64> {
    let busy = Arc::new(AtomicUsize::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let late = tokio::spawn(sleeper(busy.clone(), sleeps));
    let compute = || {
        let (busy, done) = (busy.clone(), done.clone());
        tokio::spawn(async move {
            busy.fetch_add(1, Ordering::Relaxed);
            while !done.load(Ordering::Relaxed) {
                let begin = Instant::now();
                while begin.elapsed() < SLICE {}
                tokio::task::yield_now().await;
            }
        })
    };
    let load: Vec<_> = (0..threads()).map(|_| compute()).collect();
    let late = late.await.unwrap();
    done.store(true, Ordering::Relaxed);
    for task in load {
        task.await.unwrap();
    }
    median_and_99(late)
}

async fn ready_blocked(sleeps: usize) -> Vec<f64> {
    let busy = Arc::new(AtomicUsize::new(0));
    let late = tokio::spawn(sleeper(busy.clone(), sleeps));
    let sit = || {
        let (release, sitting) = std::sync::mpsc::channel::<()>();
        let busy = busy.clone();
        let task = tokio::task::spawn_blocking(move || {
            busy.fetch_add(1, Ordering::Relaxed);
            require(sitting.recv().is_ok(), "recv");
        });
        (release, task)
    };
    let load: Vec<_> = (0..threads()).map(|_| sit()).collect();
    let late = late.await.unwrap();
    for (release, task) in load {
        release.send(()).unwrap();
        task.await.unwrap();
    }
    median_and_99(late)
}

pub fn questions(rt: &Arc<Runtime>) -> Vec<Question> {
    let (wakes, sleeps) = (pick(500, 50), pick(200, 30));
    let own = rt.clone();
    vec![
        Question { name: "wake", units: "us\tp99\tus", run: Box::new(move || wake(&own, wakes)) },
        crate::ask(rt, "ready_computing", "us\tp99\tus", move || ready_computing(sleeps)),
        crate::ask(rt, "ready_blocked", "us\tp99\tus", move || ready_blocked(sleeps)),
    ]
}
