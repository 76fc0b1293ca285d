// SPDX-License-Identifier: MIT
//
// The same questions for Go's errgroup. The question is the program's first argument, without one it lists those that it can answer;
// bench.h says how it is asked.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// What a question's figures are measured in, and a run, which returns them.
type question struct {
	units string
	run   func() []float64
}

var questions = map[string]question{}

func require(holds bool, what string) {
	if !holds {
		fmt.Fprintln(os.Stderr, "wrong result:", what)
		os.Exit(1)
	}
}

// A size: as the question says, or a small one when BENCH_QUICK is set, for checks.
func pick(full, quick int) int {
	if _, is := os.LookupEnv("BENCH_QUICK"); is {
		return quick
	}
	return full
}

// The usual question: nanoseconds of wall-clock time for each of the units of a run.
func timed(unit string, units int, run func()) question {
	return question{unit, func() []float64 {
		begin := time.Now()
		run()
		return []float64{float64(time.Since(begin).Nanoseconds()) / float64(units)}
	}}
}

func print(figures []float64) {
	words := make([]string, len(figures))
	for i, figure := range figures {
		words[i] = fmt.Sprintf("%.3f", figure)
	}
	fmt.Println(strings.Join(words, "\t"))
}

func main() {
	if len(os.Args) < 2 {
		for name := range questions {
			fmt.Println(name)
		}
		return
	}
	q, known := questions[os.Args[1]]
	require(known, "no question "+os.Args[1])
	checkEmpty(os.Args[1])
	fmt.Printf("%s\t%s\n", runtime.Version(), q.units)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		print(q.run())
	}
}
