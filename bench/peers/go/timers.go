// SPDX-License-Identifier: MIT
//
// timers: a million delayed starts at random times within two seconds; the CPU time that they take altogether, and how late they are.
// errgroup has no delayed starts: time.AfterFunc.
package main

import (
	"sync"
	"time"
)

// The delays are the same for everybody: timers.h.
func nextDelay(state *uint64, span time.Duration) time.Duration {
	*state = *state*6364136223846793005 + 1442695040888963407
	return time.Duration((*state >> 33) * uint64(span) >> 31)
}

func timers(n int, span time.Duration) []float64 {
	var all sync.WaitGroup
	random := uint64(1)
	late := make([]float64, n)
	cpu := cpuTime()
	all.Add(n)
	for i := range late {
		late := &late[i]
		*late = -1
		delay := nextDelay(&random, span)
		due := time.Now().Add(delay)
		time.AfterFunc(delay, func() {
			*late = float64(time.Since(due).Nanoseconds())
			all.Done()
		})
	}
	all.Wait()
	cpu = cpuTime() - cpu
	for _, l := range late {
		require(l >= 0, "a timer that was early, or never came")
	}
	return []float64{cpu / 1e9, quantile(late, 0.99) / 1e6}
}

func init() {
	n, span := pick(1000000, 50000), time.Duration(pick(2000, 200))*time.Millisecond
	questions["timers"] = question{"CPU s\tlate\tms", func() []float64 { return timers(n, span) }}
}
