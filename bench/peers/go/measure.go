// SPDX-License-Identifier: MIT
//
// What several questions measure with: CPU time and resident memory of the process, and quantiles.
package main

import (
	"fmt"
	"os"
	"sort"
	"syscall"
	"unsafe"
)

const processCPU = 2 // CLOCK_PROCESS_CPUTIME_ID

// CPU time of the whole process, in nanoseconds.
func cpuTime() float64 {
	var t syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, processCPU, uintptr(unsafe.Pointer(&t)), 0)
	require(errno == 0, "clock_gettime")
	return float64(t.Nano())
}

// Bytes of memory that the process has resident.
func resident() float64 {
	var size, pages float64
	text, err := os.ReadFile("/proc/self/statm")
	require(err == nil, "/proc/self/statm")
	_, err = fmt.Sscan(string(text), &size, &pages)
	require(err == nil, "/proc/self/statm")
	return pages * float64(os.Getpagesize())
}

// The value that this share of them is not above; sorts them.
func quantile(values []float64, share float64) float64 {
	sort.Float64s(values)
	return values[int(share*float64(len(values)-1))]
}
