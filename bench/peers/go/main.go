// SPDX-License-Identifier: MIT
//
// The same questions for Go's errgroup. The question is the program's argument; bench.h says how it is asked.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"time"
)

type question struct {
	unit  string
	units int
	run   func()
}

var questions = map[string]question{}

func require(holds bool, what string) {
	if !holds {
		fmt.Fprintln(os.Stderr, "wrong result:", what)
		os.Exit(1)
	}
}

func main() {
	require(len(os.Args) == 2, "one argument, the question")
	q, known := questions[os.Args[1]]
	require(known, "no question "+os.Args[1])
	checkEmpty(os.Args[1])
	fmt.Printf("%s\t%s\n", runtime.Version(), q.unit)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		begin := time.Now()
		q.run()
		fmt.Printf("%.3f\n", float64(time.Since(begin).Nanoseconds())/float64(q.units))
	}
}
