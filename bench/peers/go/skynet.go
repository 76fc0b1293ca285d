// SPDX-License-Identifier: MIT
//
// skynet: a tree of ten children per node down to a million leaves, which are summed; per node.
package main

import "golang.org/x/sync/errgroup"

const children = 10

var leaves = pick(1000000, 100000)

func visit(first, leaves int) int {
	if leaves == 1 {
		return first
	}
	var g errgroup.Group
	var sum [children]int
	leaves /= children
	for i := 0; i < children; i++ {
		i := i
		g.Go(func() error {
			sum[i] = visit(first+i*leaves, leaves)
			return nil
		})
	}
	require(g.Wait() == nil, "Wait")
	total := 0
	for _, s := range sum {
		total += s
	}
	return total
}

func init() {
	questions["skynet"] = timed("ns/task", leaves*children/(children-1), func() {
		require(visit(0, leaves) == leaves*(leaves-1)/2, "the sum of the leaves")
	})
}
