#!/bin/bash
# SPDX-License-Identifier: MIT
# What parallel promises: what find and grep find, three searches side by side; nothing when one of them fails.
. "$(dirname "$0")/common.bash"

mkdir -p tree/deep/apples tree/empty
echo "an apple a day" >tree/deep/text
printf 'x\0y\npine\0apple\n' >tree/binary
echo "nothing" >tree/apple.txt
for i in {1..300}; do echo "line $i" >"tree/file$i"; done
ln -s /nowhere/apple tree/link
ln -s apple.txt tree/deep/link
ln -s deep tree/other

# expect WORD DIR: by other means; each list in the order of a sorted walk.
expect() {
    echo Names:
    find "$2" -name "*$1*" | sort | sed 's/^/    /'
    echo Contents:
    grep -rlaF -e "$1" "$2" --exclude-dir=none | sort | sed 's/^/    /'
    echo Links:
    find "$2" -type l -lname "*$1*" | sort | sed 's/^/    /'
}

test_search() {
    local word
    for word in apple nothing 299 absent; do
        run "$word" tree
        check "'$word' in names, contents and links" gives 0 "$(expect "$word" tree)" ""
    done
    run EINTR /usr/include
    check "in /usr/include" grep -q '^    .*asm-generic/errno-base.h$' out
    run apple tree/missing
    check "a directory that is not there" gives 1 "" "parallel: tree/missing: No such file or directory"
    run apple tree/apple.txt
    check "a single file" gives 0 $'Names:\n    tree/apple.txt\nContents:\nLinks:' ""
}

# Last: from then on another user runs the program.
test_unreadable() {
    local target=tree/deep/text
    if ! unprivileged; then
        skip "a file that cannot be read" "root reads everything, and setpriv cannot become nobody"
        return
    fi
    chmod 000 $target
    run apple tree
    check "a file that cannot be read ends it all" gives 1 "" "parallel: $target: Permission denied"
    chmod 755 $target tree/deep
    chmod 000 tree/deep
    run apple tree
    check "a directory that cannot be read ends it all" gives 1 "" "parallel: tree/deep: Permission denied"
    chmod 755 tree/deep
}

workers 1 2 8 -- test_search
run
check "no arguments" refuses "Usage: parallel WORD DIR"
"$program" apple tree >/dev/full 2>err
status=$?
check "a full disk" grep -q "standard output: No space left on device" err
workers 1 2 8 -- test_unreadable
conclude
