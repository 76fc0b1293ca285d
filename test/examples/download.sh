#!/bin/bash
# SPDX-License-Identifier: MIT
# What download promises: all files, byte for byte, eight at a time; three tries; an end at the first failure that lasts.
. "$(dirname "$0")/common.bash"
. "$here/web.bash"

for i in {1..50}; do seq $((i * 1000)) $((i * 1000 + i * 300)) >"www/file$i"; done

# flaky.sh/NAME answers 503 as often as NAME's digits say, and then with the name. It counts the requests that are under way.
cat >www/flaky.sh <<'END'
name=${PATH_INFO#/}
n=0
mkdir "$STATE/running/$$"
until mkdir "$STATE/$name.$n"; do n=$((n + 1)); done 2>/dev/null
if [ "$n" -lt "$(echo "$name" | tr -dc 0-9)" ]; then
    printf 'Status: 503 Busy\r\n\r\n'
else
    printf 'Content-Type: text/plain\r\n\r\n%s\n' "$name"
fi
ls "$STATE/running" | wc -l >>"$STATE/under-way"
rmdir "$STATE/running/$$"
END

urls() { printf "$web/%s\n" "$@"; }
same_files() { diff -r --exclude=token --exclude=*.sh www saved; }
at_most() { [[ $(sort -n state/under-way | tail -n 1) -le $1 ]]; }

# gone.sh notes each request for it.
echo 'echo >>"$STATE/asked"; printf "Status: 404 Not Found\r\n\r\n"' >www/gone.sh

begin() {
    rm -rf saved state/*.[0-9]* state/running state/under-way state/asked
    mkdir -m 777 saved state/running
}

test_good() {
    begin
    run saved $(urls file{1..50})
    check "50 files" gives 0 "" ""
    check "… are those of the server" same_files
    begin
    run saved $(urls flaky.sh/{a,b,c,d,e,f,g,h,i,j,k,l}{0,1,2})
    check "36 files, two thirds of which need a second or a third try" gives 0 "" ""
    check "… have been saved" test "$(cat saved/* | sort | tr -d '\n')" = "$(printf %s {a,b,c,d,e,f,g,h,i,j,k,l}{0,1,2})"
    check "… never more than eight at a time" at_most 8
}

test_bad() {
    begin
    run saved $(urls file1 flaky.sh/x3)
    check "a server that is busy three times" gives 1 "" \
        "download: $web/flaky.sh/x3: The requested URL returned error: 503 (3 tries)"
    check "… leaves no file" test "$(ls saved)" = file1
    run saved "http://127.0.0.1:$refusing/x"
    check "a connection that is refused" grep -q "^download: http://127.0.0.1:$refusing/x: Failed to connect .* (3 tries)$" err
    run saved http://name.invalid/x
    check "a name that is none" gives 1 "" "download: http://name.invalid/x: Could not resolve host: name.invalid"
    run saved $(urls nothing)
    check "a file that is not there" gives 1 "" "download: $web/nothing: The requested URL returned error: 404"
    run missing $(urls file1)
    check "a directory that is not there" gives 1 "" "download: $web/file1: cannot be saved as missing/file1"
}

# Each of the 50 fails. An error counts before its place is free again, so no more than eight can have been started.
test_stop() {
    begin
    run saved $(urls gone.sh/{1..50})
    check "50 that are not there: exit 1" exits 1
    check "… no more than eight are tried" test "$(wc -l <state/asked)" -le 8
    check "… each that failed is named" \
        test "$(sed -E "s|^download: $web/gone.sh/[0-9]+: The requested URL returned error: 404$|good|" err | sort -u)" = good
    check "… and none left" test -z "$(ls saved)"
}

workers 1 2 8 -- test_good test_bad test_stop
run saved
check "no URL" refuses "Usage: download DIRECTORY URL..."
conclude
