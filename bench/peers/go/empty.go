// SPDX-License-Identifier: MIT
//
// Groups of empty tasks: what spawn, small_groups, groups_1000 and limit8 have in common.
package main

import (
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

type empty struct {
	groups, tasks, limit int
}

var empties = map[string]empty{}

func (e empty) runWith(task func() error) {
	for i := 0; i < e.groups; i++ {
		var g errgroup.Group
		if e.limit > 0 {
			g.SetLimit(e.limit)
		}
		for k := 0; k < e.tasks; k++ {
			g.Go(task)
		}
		require(g.Wait() == nil, "Wait")
	}
}

func (e empty) ask(name string) {
	empties[name] = e
	questions[name] = timed("ns/task", e.groups*e.tasks, func() { e.runWith(func() error { return nil }) })
}

// Empty tasks leave no trace, so they first run once, untimed, with tasks that tick.
func checkEmpty(name string) {
	e, known := empties[name]
	if !known {
		return
	}
	var ticks int64
	e.runWith(func() error { atomic.AddInt64(&ticks, 1); return nil })
	require(ticks == int64(e.groups)*int64(e.tasks), "tasks that ran")
}
