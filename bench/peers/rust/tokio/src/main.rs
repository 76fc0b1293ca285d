// SPDX-License-Identifier: MIT
//
// The questions that tokio can answer, in its multi-threaded runtime. Its channels have one receiver and no rendezvous: ping_pong goes
// over channels with one slot, and there is no channel_4to4.
use std::future::Future;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, Semaphore};
use tokio::task::JoinSet;

mod blocked;
mod empty;
mod tree;
mod wakes;
#[path = "../../serve.rs"]
#[allow(dead_code)]
mod serve;
use serve::{pick, require, timed, Question};

/// Run it as a task, for tasks are started by tasks: main is a plain thread, which a worker would have to wake up.
pub fn as_task<T: Send + 'static>(rt: &Runtime, run: impl Future<Output = T> + Send + 'static) -> T {
    rt.block_on(async { tokio::spawn(run).await.unwrap() })
}

/// A question whose run is an async function.
pub fn ask<F>(rt: &Arc<Runtime>, name: &'static str, units: &'static str, run: impl Fn() -> F + 'static) -> Question
where
    F: Future<Output = Vec<f64>> + Send + 'static,
{
    let rt = rt.clone();
    Question { name, units, run: Box::new(move || as_task(&rt, run())) }
}

/// Wait for all; each must have returned Ok.
pub async fn join_all(mut set: JoinSet<()>) {
    while let Some(result) = set.join_next().await {
        require(result.is_ok(), "join_next");
    }
}

async fn ping_pong(rounds: usize) {
    let (ping, mut pinged) = mpsc::channel(1);
    let (pong, mut ponged) = mpsc::channel(1);
    let mut set = JoinSet::new();
    set.spawn(async move {
        for i in 0..rounds {
            ping.send(i).await.unwrap();
            require(ponged.recv().await == Some(i + 1), "what came back");
        }
    });
    set.spawn(async move {
        while let Some(ball) = pinged.recv().await {
            pong.send(ball + 1).await.unwrap();
        }
    });
    join_all(set).await;
}

async fn channel(items: usize) {
    let (sender, mut receiver) = mpsc::channel(64);
    let mut set = JoinSet::new();
    set.spawn(async move {
        for i in 0..items {
            sender.send(i).await.unwrap();
        }
    });
    set.spawn(async move {
        let mut sum = 0;
        while let Some(item) = receiver.recv().await {
            sum += item;
        }
        require(sum == items * (items - 1) / 2, "the sum of the items");
    });
    join_all(set).await;
}

/// A million tasks, at most eight at once: whoever starts them waits for a permit.
async fn limit8(tasks: usize) {
    let permits = Arc::new(Semaphore::new(8));
    let mut set = JoinSet::new();
    for _ in 0..tasks {
        let permit = permits.clone().acquire_owned().await.unwrap();
        set.spawn(async move { drop(permit) });
    }
    require(set.len() == tasks, "tasks that were started");
    join_all(set).await;
}

fn main() {
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(serve::threads()).enable_time().build();
    let rt = Arc::new(rt.unwrap());
    let (rounds, items, tasks) = (pick(500000, 50000), pick(1000000, 100000), pick(1000000, 100000));
    let (a, b, c) = (rt.clone(), rt.clone(), rt.clone());
    let mut questions = vec![
        timed("ping_pong", "ns/round trip", rounds, move || as_task(&a, ping_pong(rounds))),
        timed("channel_1to1", "ns/item", items, move || as_task(&b, channel(items))),
        timed("limit8", "ns/task", tasks, move || as_task(&c, limit8(tasks))),
    ];
    questions.extend(empty::questions(&rt));
    questions.extend(tree::questions(&rt));
    questions.extend(blocked::questions(&rt));
    questions.extend(wakes::questions(&rt));
    serve::serve(env!("PEER_VERSION"), questions);
}
