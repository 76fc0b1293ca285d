// SPDX-License-Identifier: MIT
//
// idle: after some work, nothing happens for two seconds; the CPU time that goes by meanwhile.
package main

import (
	"sync/atomic"
	"time"
)

func idle(span time.Duration) []float64 {
	var ticks int64
	work := empty{groups: 100, tasks: 1000}
	work.runWith(func() error { atomic.AddInt64(&ticks, 1); return nil })
	require(ticks == int64(work.groups)*int64(work.tasks), "tasks that ran")
	cpu := cpuTime()
	time.Sleep(span)
	return []float64{(cpuTime() - cpu) / 1e3}
}

func init() {
	span := time.Duration(pick(2000, 300)) * time.Millisecond
	questions["idle"] = question{"us of CPU", func() []float64 { return idle(span) }}
}
