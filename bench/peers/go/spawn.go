// SPDX-License-Identifier: MIT
//
// spawn: a million empty tasks in one group, then wait.
package main

func init() {
	empty{groups: 1, tasks: pick(1000000, 100000)}.ask("spawn")
}
