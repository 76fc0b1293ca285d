// SPDX-License-Identifier: MIT
//
// fib: the 32nd Fibonacci number with a group and a spawn at every call, per spawn.
package main

import "golang.org/x/sync/errgroup"

const (
	fib32    = 2178309
	spawns32 = 3524577 // calls with n >= 2
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
	questions["fib"] = question{"ns/spawn", spawns32, func() { require(fib(32) == fib32, "fib(32)") }}
}
