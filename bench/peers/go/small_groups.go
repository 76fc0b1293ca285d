// SPDX-License-Identifier: MIT
//
// small_groups: ten empty tasks and a wait, a hundred thousand times.
package main

func init() {
	empty{groups: pick(100000, 10000), tasks: 10}.ask("small_groups")
}
