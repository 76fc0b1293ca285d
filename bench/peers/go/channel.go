// SPDX-License-Identifier: MIT
//
// channel_1to1 and channel_4to4: a million numbers through a channel of 64 slots, from one or four senders to as many
// receivers, per item.
package main

import "golang.org/x/sync/errgroup"

const slots = 64

var items = pick(1000000, 100000)

func sender(c chan<- int, first, last int) func() error {
	return func() error {
		for i := first; i < last; i++ {
			c <- i
		}
		return nil
	}
}

func receiver(c <-chan int, result *int) func() error {
	return func() error {
		sum := 0
		for item := range c {
			sum += item
		}
		*result = sum
		return nil
	}
}

func channel(width int) {
	var senders, receivers errgroup.Group
	c := make(chan int, slots)
	sums := make([]int, width)
	for i := 0; i < width; i++ {
		senders.Go(sender(c, items/width*i, items/width*(i+1)))
		receivers.Go(receiver(c, &sums[i]))
	}
	require(senders.Wait() == nil, "senders")
	close(c)
	require(receivers.Wait() == nil, "receivers")
	total := 0
	for _, sum := range sums {
		total += sum
	}
	require(total == items*(items-1)/2, "the sum of the items")
}

func init() {
	questions["channel_1to1"] = timed("ns/item", items, func() { channel(1) })
	questions["channel_4to4"] = timed("ns/item", items, func() { channel(4) })
}
