// SPDX-License-Identifier: MIT
//
// delayed: a million delayed starts that lie an hour ahead; the time to make them, and the memory that they hold. Then they are
// cancelled.
package main

import "time"

func delayed(n int, before float64) []float64 {
	timers := make([]*time.Timer, n)
	begin := time.Now()
	for i := range timers {
		timers[i] = time.AfterFunc(time.Hour+time.Duration(i), func() { require(false, "a task that was to be cancelled") })
	}
	took := time.Since(begin)
	memory := resident() - before
	for _, timer := range timers {
		require(timer.Stop(), "Stop")
	}
	return []float64{float64(took.Nanoseconds()) / float64(n), memory / float64(n)}
}

func init() {
	n, before := pick(1000000, 100000), resident()
	questions["delayed"] = question{"ns/task\tmemory\tbytes/task", func() []float64 { return delayed(n, before) }}
}
