#!/bin/bash
# SPDX-License-Identifier: MIT
# Compares docs/faq.md with the programs in examples/faq: each of them is listed there in full, without its first comment, below
# a line with a link to it, and what it prints is the next block.
. "$(dirname "$0")/common.bash"
folder=$program
root=$here/../..

# NAME.listing and NAME.prints for each program of the document.
awk '/^```/ && file != "" { close(file); file = ""; next }
     /^\[`examples\/faq\// { name = $1; sub(/^.`examples\/faq\//, "", name); sub(/\.c`.*/, "", name) }
     name != "" && /^```c$/ { file = name ".listing"; printf "" >file; next }
     name != "" && /^```$/ { file = name ".prints"; printf "" >file; name = ""; next }
     file != "" { print >file }' "$root/docs/faq.md"

test_program() {
    program=$folder/$name
    run
    check "$name prints what docs/faq.md says" gives 0 "$(<"$name.prints")" ""
}

for source in "$root"/examples/faq/*.c; do
    name=$(basename "$source" .c)
    if [[ ! -e $name.listing || ! -e $name.prints ]]; then
        check "docs/faq.md has $name with what it prints" false
        continue
    fi
    check "docs/faq.md lists $name as it is" diff <(sed '1,/\*\/$/d' "$source") "$name.listing"
    workers 1 2 8 -- test_program
    rm "$name.listing" "$name.prints"
done
check "docs/faq.md has no program that is not there" test -z "$(ls ./*.listing 2>/dev/null)"
conclude
