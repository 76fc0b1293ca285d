// SPDX-License-Identifier: MIT
//
// wake: everything has been idle for two milliseconds; main sends the time to a task, until that has it. And how late a task goes on that
// slept for two milliseconds, while as many tasks as there are threads compute (ready_computing) or sit in read(2) (ready_blocked).
package main

import (
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

const pause = 2 * time.Millisecond

func medianAnd99(late []float64) []float64 {
	return []float64{quantile(late, 0.5) / 1e3, quantile(late, 0.99) / 1e3}
}

func wake(n int) []float64 {
	var g errgroup.Group
	there, back := make(chan time.Time), make(chan time.Duration)
	late := make([]float64, n)
	g.Go(func() error {
		for sent := range there {
			back <- time.Since(sent)
		}
		return nil
	})
	for i := range late {
		time.Sleep(pause)
		there <- time.Now()
		late[i] = float64((<-back).Nanoseconds())
	}
	close(there)
	require(g.Wait() == nil, "Wait")
	return medianAnd99(late)
}

func ready(n int, load func(), stop func()) []float64 {
	var g errgroup.Group
	var busy int64
	threads := runtime.GOMAXPROCS(0)
	late := make([]float64, n)
	g.Go(func() error {
		for atomic.LoadInt64(&busy) < int64(threads) {
			time.Sleep(pause)
		}
		for i := range late {
			due := time.Now().Add(pause)
			time.Sleep(pause)
			late[i] = float64(time.Since(due).Nanoseconds())
			require(late[i] >= 0, "a sleep that was too short")
		}
		stop()
		return nil
	})
	for i := 0; i < threads; i++ {
		g.Go(func() error {
			atomic.AddInt64(&busy, 1)
			load()
			return nil
		})
	}
	require(g.Wait() == nil, "Wait")
	return medianAnd99(late)
}

func readyComputing(n int) []float64 {
	var done int32
	compute := func() {
		for atomic.LoadInt32(&done) == 0 {
		}
	}
	return ready(n, compute, func() { atomic.StoreInt32(&done, 1) })
}

func readyBlocked(n int) []float64 {
	var pipe [2]int
	require(syscall.Pipe(pipe[:]) == nil, "pipe")
	sit := func() {
		n, err := syscall.Read(pipe[0], make([]byte, 1))
		require(n == 1 && err == nil, "read")
	}
	figures := ready(n, sit, func() {
		n, err := syscall.Write(pipe[1], make([]byte, runtime.GOMAXPROCS(0)))
		require(n == runtime.GOMAXPROCS(0) && err == nil, "write")
	})
	syscall.Close(pipe[0])
	syscall.Close(pipe[1])
	return figures
}

func init() {
	wakes, sleeps := pick(500, 50), pick(200, 30)
	questions["wake"] = question{"us\tp99\tus", func() []float64 { return wake(wakes) }}
	questions["ready_computing"] = question{"us\tp99\tus", func() []float64 { return readyComputing(sleeps) }}
	questions["ready_blocked"] = question{"us\tp99\tus", func() []float64 { return readyBlocked(sleeps) }}
}
