// SPDX-License-Identifier: MIT
//
// ping_pong: a number goes back and forth between two tasks over two rendezvous channels, per round trip.
package main

import "golang.org/x/sync/errgroup"

var rounds = pick(500000, 50000)

func pingPong() {
	var g errgroup.Group
	ping, pong := make(chan int), make(chan int)
	g.Go(func() error {
		for i := 0; i < rounds; i++ {
			ping <- i
			require(<-pong == i+1, "what came back")
		}
		return nil
	})
	g.Go(func() error {
		for i := 0; i < rounds; i++ {
			pong <- <-ping + 1
		}
		return nil
	})
	require(g.Wait() == nil, "Wait")
}

func init() {
	questions["ping_pong"] = timed("ns/round trip", rounds, pingPong)
}
