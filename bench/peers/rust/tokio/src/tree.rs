// SPDX-License-Identifier: MIT
//
// fib and skynet: trees of tasks. An async function that calls itself must be boxed.
use crate::serve::{pick, require, timed, Question};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::runtime::Runtime;

const CHILDREN: usize = 10;

type Boxed = Pin<Box<dyn Future<Output = usize> + Send>>;

fn fib(n: usize) -> Boxed {
    Box::pin(async move {
        if n < 2 {
            return n;
        }
        let first = tokio::spawn(fib(n - 1));
        let second = fib(n - 2).await;
        first.await.unwrap() + second
    })
}

fn visit(first: usize, leaves: usize) -> Boxed {
    Box::pin(async move {
        if leaves == 1 {
            return first;
        }
        let leaves = leaves / CHILDREN;
        let children: Vec<_> = (0..CHILDREN).map(|i| tokio::spawn(visit(first + i * leaves, leaves))).collect();
        let mut sum = 0;
        for child in children {
            sum += child.await.unwrap();
        }
        sum
    })
}

pub fn questions(rt: &Arc<Runtime>) -> Vec<Question> {
    let (n, result, spawns) = (pick(32, 26), pick(2178309, 121393), pick(3524577, 196417));
    let leaves = pick(1000000, 100000);
    let (a, b) = (rt.clone(), rt.clone());
    vec![
        timed("fib", "ns/spawn", spawns, move || require(crate::as_task(&a, fib(n)) == result, "fib")),
        timed("skynet", "ns/task", leaves * CHILDREN / (CHILDREN - 1), move || {
            require(crate::as_task(&b, visit(0, leaves)) == leaves * (leaves - 1) / 2, "the sum of the leaves")
        }),
    ]
}
