// SPDX-License-Identifier: MIT
//
// fib: the 32nd Fibonacci number with a group and a spawn at every call, per spawn.
package main

import "golang.org/x/sync/errgroup"

var (
	fibN      = pick(32, 26)
	fibResult = pick(2178309, 121393)
	fibSpawns = pick(3524577, 196417) // calls with n >= 2
)

func fib(n int) int {
	if n < 2 {
		return n
	}
	var g errgroup.Group
	var first int
	g.Go(func() error {
		first = fib(n - 1)
		return nil
	})
	second := fib(n - 2)
	require(g.Wait() == nil, "Wait")
	return first + second
}

func init() {
	questions["fib"] = timed("ns/spawn", fibSpawns, func() { require(fib(fibN) == fibResult, "fib") })
}
