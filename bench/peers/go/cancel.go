// SPDX-License-Identifier: MIT
//
// cancel: ten thousand tasks are blocked, one more fails and so cancels them; until the wait returns, which is when all have ended.
package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

func cancel() []float64 {
	const tasks = 10000
	var blocked, cancelled int64
	failure := errors.New("failure")
	never, alarm := make(chan struct{}), make(chan struct{})
	g, ctx := errgroup.WithContext(context.Background())
	g.Go(func() error {
		<-alarm
		return failure
	})
	for i := 0; i < tasks; i++ {
		g.Go(func() error {
			atomic.AddInt64(&blocked, 1)
			select {
			case <-never:
				return nil
			case <-ctx.Done():
				atomic.AddInt64(&cancelled, 1)
				return ctx.Err()
			}
		})
	}
	for atomic.LoadInt64(&blocked) < tasks {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(5 * time.Millisecond) // for the last of them to get from its count to the channel
	begin := time.Now()
	alarm <- struct{}{}
	require(g.Wait() == failure, "Wait")
	took := time.Since(begin)
	require(cancelled == tasks, "tasks that were cancelled")
	return []float64{float64(took.Nanoseconds()) / 1e6}
}

func init() {
	questions["cancel"] = question{"ms", cancel}
}
