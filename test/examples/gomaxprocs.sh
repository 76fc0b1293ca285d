#!/bin/bash
# SPDX-License-Identifier: MIT
# What gomaxprocs promises: the figures of find, whatever the number at a time.
. "$(dirname "$0")/common.bash"

mkdir -p tree/{a,b,c}/{1,2,3,4,5}/{x,y,z} "tree/with  space"
for i in {1..200}; do head -c "$i" /dev/zero >"tree/a/$((i % 5 + 1))/file$i"; done
ln -s a tree/link
mkfifo tree/fifo
deep=tree/deep
for i in {1..100}; do deep=$deep/$i; done
mkdir -p "$deep"
echo bottom >"$deep/bottom"

expect() {
    local directories files
    directories=$(find "$1" -type d | wc -l)
    files=$(find "$1" -type f -printf '%s\n' | awk '{ n += $1 } END { printf "%d files, %d bytes", NR, n }')
    echo "$directories directories, $files"
}

test_trees() {
    local j
    for j in 1 2 50; do
        run -j $j tree
        check "a tree, $j at a time" gives 0 "$(expect tree)" ""
    done
    run tree
    check "a tree, as many at a time as there are workers" gives 0 "$(expect tree)" ""
    run /usr/include
    check "/usr/include" gives 0 "$(expect /usr/include)" ""
    run tree/missing
    check "a directory that is not there" gives 1 "" "gomaxprocs: tree/missing: No such file or directory"
    run tree/a/1/file5
    check "what is no directory" gives 1 "" "gomaxprocs: tree/a/1/file5: Not a directory"
}

workers 1 2 8 -- test_trees
for value in 0 -1 1025 x ""; do
    run -j "$value" tree
    check "-j '$value'" refuses "$value: not a number from 1 to 1024"
done
run
check "no directory" refuses "no directory given"
run --help
check "--help names the option" grep -q -e --jobs out
conclude
