#!/bin/bash
# SPDX-License-Identifier: MIT
# What hunch promises. One at a time, files are ready in the order in which they were given: so the order is known.
. "$(dirname "$0")/common.bash"

for i in {1..9}; do seq 1 "$i" >"file$i"; done
: >empty
printf 'b\na\n\nb\nc\na' >lines

lines_of() { for i in "$@"; do echo "$i file$i"; done; }

test_several() {
    run all file{1..9}
    check "all, in the order given" gives 0 "$(lines_of {1..9})" ""
    run all file{1..9} missing
    check "all: the first error" gives 1 "" "hunch: missing: No such file or directory"
    run -j 1 take 3 file5 file1 file9 file2
    check "take: the first three" gives 0 "$(lines_of 5 1 9)" ""
    run -j 1 take 2 file5 file1 missing
    check "take: an error that comes later" gives 0 "$(lines_of 5 1)" ""
    run -j 1 take 2 file5 missing file1
    check "take: an error before" gives 1 "" "hunch: missing: No such file or directory"
    run take 20 file{1..9}
    check "take: more than there are" gives_sorted 0 "$(lines_of {1..9})" ""
    run -j 1 last 2 file5 file1 file9
    check "last: the last two" gives 0 "$(lines_of 1 9)" ""
    run last 20 file{1..9}
    check "last: more than there are" gives_sorted 0 "$(lines_of {1..9})" ""
    run last 1 file1 missing file2
    check "last: an error" gives 1 "" "hunch: missing: No such file or directory"
}

test_one() {
    run waterfall lines
    check "waterfall" gives 0 "$(sort -u lines)" ""
    run waterfall empty
    check "waterfall: an empty file" gives 0 "" ""
    run waterfall missing
    check "waterfall: an error" gives 1 "" "hunch: missing: No such file or directory"
    run retry 1 file3
    check "retry: it is there" gives 0 "3 file3" ""
    run retry 3 missing
    check "retry: it never comes" gives 1 "" "hunch: missing: No such file or directory (3 tries)"
    rm -f late
    { sleep 0.2; seq 1 5 >late.new; mv late.new late; } &
    run retry 600 late
    check "retry: it comes" gives 0 "5 late" ""
    wait
}

workers 1 2 8 -- test_several test_one
run
check "nothing" refuses "nothing to do given"
run some file1
check "an unknown word" refuses "some: not one of all, take, last, waterfall, retry"
run all
check "no files" refuses "all: something is missing"
run take file1
check "no number" refuses "take: something is missing"
run take 0 file1
check "take 0" refuses "0: not a number from 1"
run waterfall file1 file2
check "two files" refuses "waterfall: too many files"
run -j 0 all file1
check "-j 0" refuses "0: not a number from 1 to 1024"
run --help
check "--help names the option" grep -q -e --jobs out
conclude
