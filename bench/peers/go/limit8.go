// SPDX-License-Identifier: MIT
//
// limit8: a million empty tasks through a group that runs at most eight at once.
package main

func init() {
	empty{groups: 1, tasks: pick(1000000, 100000), limit: 8}.ask("limit8")
}
