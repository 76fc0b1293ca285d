#!/bin/bash
# SPDX-License-Identifier: MIT
# What all_errors promises: the verdict on every file, in the order given.
. "$(dirname "$0")/common.bash"

printf 'plain\ntext\n' >plain
printf 'gr\xc3\xbc\xc3\x9fe\n\xe2\x82\xac\xf0\x9f\x98\x80' >good
printf 'a\nb\n\xffc\n' >bad
printf 'a\0b\n\xe2\x82' >cut
: >empty
{ head -c 16383 /dev/zero; printf '\xc3\xbc\n'; head -c 40000 /dev/zero; } >across # a character in two buffers
{ yes | head -c 100000; printf '\xc0\xaf\n'; } >late

test_files() {
    local names=() i want=
    run plain good empty across
    check "files that are right" gives 0 "4 of 4 files are valid" ""
    run plain bad missing good cut late
    check "every error, in the order of the files" gives 1 "2 of 6 files are valid" \
"all_errors: file 2: bad:3: not UTF-8
all_errors: file 3: missing: No such file or directory
all_errors: file 5: cut:2: not UTF-8
all_errors: file 6: late:50001: not UTF-8"
    for i in {1..500}; do
        names+=("missing$i" plain)
        want+="all_errors: file $((2 * i - 1)): missing$i: No such file or directory"$'\n'
    done
    run "${names[@]}"
    check "500 errors in 1,000 files" gives 1 "500 of 1000 files are valid" "${want%$'\n'}"
    run .
    check "a directory" gives 1 "0 of 1 files are valid" "all_errors: file 1: .: cannot be read"
}

workers 1 2 8 -- test_files
run
check "no files" refuses "Usage: all_errors FILE..."
conclude
