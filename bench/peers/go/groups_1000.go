// SPDX-License-Identifier: MIT
//
// groups_1000: a thousand empty tasks and a wait, a thousand times.
package main

func init() {
	empty{groups: pick(1000, 100), tasks: 1000}.ask("groups_1000")
}
