// SPDX-License-Identifier: MIT
//
// blocked: a million tasks, each blocked on a channel; the time to get there, and the memory that they hold. And queued, the same with
// tasks that wait for one of eight slots, which are taken: a semaphore is how a queue without bounds is made, as errgroup's Go waits.
package main

import (
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

func blocked(n int, before float64) []float64 {
	var g errgroup.Group
	var there, letGo int64
	gate := make(chan struct{})
	begin := time.Now()
	for i := 0; i < n; i++ {
		g.Go(func() error {
			atomic.AddInt64(&there, 1)
			if _, open := <-gate; !open {
				atomic.AddInt64(&letGo, 1)
			}
			return nil
		})
	}
	for atomic.LoadInt64(&there) < int64(n) {
		time.Sleep(time.Millisecond)
	}
	took := time.Since(begin)
	memory := resident() - before
	close(gate)
	require(g.Wait() == nil && letGo == int64(n), "tasks that were let go")
	return []float64{float64(took.Nanoseconds()) / float64(n), memory / float64(n)}
}

func queued(n int, before float64) []float64 {
	const limit = 8
	var g errgroup.Group
	var ran int64
	slots := make(chan struct{}, limit)
	for i := 0; i < limit; i++ {
		slots <- struct{}{}
	}
	begin := time.Now()
	for i := 0; i < n; i++ {
		g.Go(func() error {
			slots <- struct{}{}
			defer func() { <-slots }()
			atomic.AddInt64(&ran, 1)
			return nil
		})
	}
	took := time.Since(begin)
	memory := resident() - before
	require(atomic.LoadInt64(&ran) == 0, "tasks that waited")
	for i := 0; i < limit; i++ {
		<-slots
	}
	require(g.Wait() == nil && ran == int64(n), "tasks that ran")
	return []float64{float64(took.Nanoseconds()) / float64(n), memory / float64(n)}
}

func init() {
	before := resident()
	questions["blocked"] = question{"ns/task\tmemory\tbytes/task", func() []float64 { return blocked(pick(1000000, 50000), before) }}
	questions["queued"] = question{"ns/task\tmemory\tbytes/task", func() []float64 { return queued(pick(1000000, 100000), before) }}
}
