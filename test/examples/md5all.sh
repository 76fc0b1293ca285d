#!/bin/bash
# SPDX-License-Identifier: MIT
# What md5all promises: the output of find + md5sum byte for byte, whatever the names, and the right end of every failure.
#
#     md5all.sh MD5ALL [quick|long]        RUNS=50: how often "long" repeats each combination on each large tree
set -u
export LC_ALL=C

# A chaos build prints its seed when it has to choose one: not among what is compared.
export CADRE_CHAOS_SEED=${CADRE_CHAOS_SEED:-$RANDOM$RANDOM}
echo "# CADRE_CHAOS_SEED=$CADRE_CHAOS_SEED, for chaos builds"

program=$(realpath -- "${1:?usage: md5all.sh MD5ALL [quick|long]}")
mode=${2:-quick}
runs=${RUNS:-50}
[[ $mode == quick || $mode == long ]] || { echo "md5all.sh: unknown mode $mode" >&2; exit 2; }

work=$(mktemp -d "${TMPDIR:-/tmp}/md5all.XXXXXX") || exit 2
tree=$work/tree
count=0
failed=0
child=
user=() # a command prefix: as whom to run
trap '[[ -n $child ]] && kill -KILL "$child" 2>/dev/null; chmod -R u+rwx "$work"; rm -rf "$work"' EXIT
chmod 755 "$work"
install -m 755 "$program" "$work/md5all" # where every user can run it
program=$work/md5all

# ---------------------------------------------------------------------------------------------------------- helpers

check() { # check NAME COMMAND...: ok when the command succeeds
    local name=$1
    shift
    count=$((count + 1))
    if "$@"; then
        echo "ok $count - $name"
    else
        echo "not ok $count - $name"
        failed=$((failed + 1))
        [[ -s $work/err ]] && sed 's/^/#   /' "$work/err" | head -5
    fi
}

skip() { # skip NAME REASON
    count=$((count + 1))
    echo "ok $count - $1 # SKIP $2"
}

run() { # run ARGUMENTS...: status, $work/out and $work/err; as $user
    timeout 120 "${user[@]}" "$program" "$@" >"$work/out" 2>"$work/err"
    status=$?
}

expect() { # expect DIR: what find and md5sum say, in $work/want
    "${user[@]}" find "$1" -type f -print0 2>/dev/null | sort -z | "${user[@]}" xargs -0r md5sum >"$work/want" 2>"$work/want.err"
}

same() { [[ $status -eq 0 ]] && cmp -s "$work/want" "$work/out"; }
exits() { [[ $status -eq $1 ]]; }
silent() { [[ ! -s $work/out ]]; }
says() { grep -qF -- "$1" "$work/err"; }
fails_saying() { exits 1 && silent && says "md5all: $1"; }
no_summary() { ! grep -q ' MB/s' "$work/err"; }

poll() { # poll COMMAND...: until it succeeds; false after a minute
    local end=$((SECONDS + 60))
    until "$@"; do
        [[ $SECONDS -lt $end ]] || return 1
        sleep 0.02
    done
}

ended() { ! kill -0 "$child" 2>/dev/null; }

reading() { # reading PID FILE...: the process has one of the files open; says which in $opened
    local fd target name
    for fd in /proc/"$1"/fd/*; do
        target=$(readlink "$fd" 2>/dev/null) || continue
        for name in "${@:2}"; do
            [[ $target == "$name" ]] && opened=$name && return 0
        done
    done
    return 1
}

start() { # start ARGUMENTS...: in the background, as $child
    "$program" "$@" >"$work/out" 2>"$work/err" &
    child=$!
}

finish() { # wait for the child: status
    poll ended || kill -KILL "$child"
    wait "$child"
    status=$?
    child=
}

# ---------------------------------------------------------------------------------------------------------- the trees

build_tree() {
    local deep=$tree/deep i
    mkdir -p "$tree/empty directory" "$tree/a" "$tree/a.b" "$tree/-x"
    echo 1 >"$tree/plain"
    echo 2 >"$tree/a/b"
    echo 3 >"$tree/a.b/c" # "a.b/c" sorts before "a/b": byte order of whole paths, not directory by directory
    echo 4 >"$tree/with  spaces "
    echo 5 >"$tree/new"$'\n'"line"
    echo 6 >"$tree/back\\slash"
    echo 7 >"$tree/carriage"$'\r'"return"
    echo 8 >"$tree/"$'\\\n\r'"all"
    echo 9 >"$tree/-x/-n"
    echo 10 >"$tree/not-"$'\xff\xfe\xc3'"-utf8"
    echo 11 >"$tree/*?[a]\$HOME\"'"
    echo 12 >"$tree/"$'\t\x01\x7f'
    : >"$tree/empty"
    seq 1 700000 >"$tree/large" # several buffers and a rest
    truncate -s 262144 "$tree/one buffer"
    ln -s plain "$tree/link"
    ln -s a "$tree/link to directory"
    ln -s nowhere "$tree/dangling"
    mkfifo "$tree/fifo"
    for ((i = 0; i < 60; i++)); do deep=$deep/level$i; done
    mkdir -p "$deep"
    echo 13 >"$deep/bottom"
    mkdir "$tree/many"
    for ((i = 0; i < 1200; i++)); do echo "$i" >"$tree/many/$i"; done # more than the channels hold
}

# --------------------------------------------------------------------------------------------------- equal to md5sum

equal_in_all_combinations() { # DIR TIMES
    local workers digesters i
    expect "$1"
    for workers in 1 2 8; do
        for digesters in 1 2 20; do
            for ((i = 0; i < $2; i++)); do
                CADRE_WORKERS=$workers run "$1" -j "$digesters"
                same || break
            done
            check "$1 equals find and md5sum: $2 runs, CADRE_WORKERS=$workers, -j $digesters" same
        done
    done
}

equal_however_named() {
    local name
    cd "$work" || exit 2
    ln -s tree alias
    for name in tree tree/ tree// ./tree tree/a/.. tree/plain alias alias/ tree/fifo "tree/empty directory"; do
        expect "$name"
        run "$name"
        check "the directory may be given as '$name'" same
    done
    cd tree/-x || exit 2
    expect .
    run .
    check "the directory may be given as '.'" same
    expect ../-x
    cd .. || exit 2
    run -- -x
    sed -i 's|  \.\./-x|  -x|' "$work/want"
    check "the directory may begin with a dash, after --" same
    cd "$work" || exit 2
}

# ---------------------------------------------------------------------------------------------------- unreadable files

test_unreadable() {
    local user=() dir=$work/private long i
    if [[ $(id -u) -eq 0 ]]; then
        user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
        "${user[@]}" true 2>/dev/null || { skip "unreadable files" "root reads all, and setpriv cannot become nobody"; return; }
    fi
    printf -v long 'long%.0s' {1..50}
    mkdir -p "$dir/$long"
    for i in {1..40}; do echo "$i" >"$dir/$i"; done
    touch "$dir/$long/$long"
    chmod 755 "$dir" "$dir/$long"
    chmod 000 "$dir"/{3,17,18,40} "$dir/$long/$long"
    expect "$dir"
    for i in 1 2 20; do
        run -k "$dir" -j $i
        check "-k prints what md5sum prints when 5 files are unreadable, -j $i" cmp -s "$work/want" "$work/out"
        check "-k exits 1 then, -j $i" exits 1
        check "md5sum names 5 files there, -j $i" test "$(wc -l <"$work/want.err")" = 5
        check "-k names all 5 with the reason, -j $i" cmp -s <(sed 's/^md5sum: //' "$work/want.err" | sort) \
            <(grep -F ': Permission denied' "$work/err" | sed 's/^md5all: //' | sort)
        run "$dir" -j $i
        check "without -k an unreadable file is named and nothing printed, -j $i" fails_saying "$dir/"
        check "only one is named, with the reason, -j $i" \
            test "$(grep -c ': Permission denied$' "$work/err")/$(wc -l <"$work/err")" = 1/1
    done
    chmod 644 "$dir"/{3,17,18,40}
    run "$dir"
    check "a name of 400 bytes is given in full" fails_saying "$dir/$long/$long: Permission denied"
    chmod 644 "$dir/$long/$long"
    chmod 000 "$dir/$long"
    expect "$dir"
    run -k "$dir"
    check "-k prints the rest when a directory is unreadable" cmp -s "$work/want" "$work/out"
    run "$dir"
    check "an unreadable directory is named" fails_saying "$dir/$long: Permission denied"
    chmod 755 "$dir/$long"
}

# -------------------------------------------------------------------------------------------------------- other ends

test_errors() {
    local value
    run "$work/nowhere"
    check "a missing directory is named" fails_saying "$work/nowhere: No such file or directory"
    run "$tree/plain/below"
    check "a path below a file is an error" fails_saying "$tree/plain/below: Not a directory"
    run ""
    check "an empty name is an error" fails_saying "'': No such file or directory"
    for value in 0 -1 1025 99999999999999999999 two 2x ""; do
        run -j "$value" "$tree"
        check "-j '$value' is refused" fails_saying "$value: not a number of digesters from 1 to 1024"
    done
    run -j 1024 "$tree"
    expect "$tree"
    check "-j 1024 works" same
    run
    check "no directory is an error" fails_saying "no directory given"
    run "$tree" "$tree"
    check "two directories are an error" exits 1
    run --version
    check "--version prints a version" grep -qE '^[0-9]+\.[0-9]+\.[0-9]+$' "$work/out"
    run --help
    check "--help names every option" grep -q -e --keep-going "$work/out"
    run "$tree"
    check "one summary line on stderr" \
        grep -qEx "md5all: $(find "$tree" -type f -printf x | wc -c) files, [0-9.]+ MB in [0-9.]+ s, [0-9.]+ MB/s" "$work/err"
}

test_output_errors() {
    local fifo=$work/pipe
    "$program" "$tree" >/dev/full 2>"$work/err"
    status=$?
    check "a full disk: exit 1" exits 1
    check "a full disk: the reason" says "md5all: standard output: No space left on device"
    check "a full disk: no summary" no_summary
    mkfifo "$fifo"
    exec 3<>"$fifo" 4>"$fifo" 3<&- # 4 writes to a pipe that nobody reads
    "$program" "$tree" >&4 2>"$work/err"
    status=$?
    exec 4>&-
    check "a closed pipe: exit 1, not SIGPIPE" exits 1
    check "a closed pipe: the reason" says "md5all: standard output: Broken pipe"
    check "a closed pipe: no summary" no_summary
}

# Two files that take minutes to read: while the only digester reads one, the other has been walked and not been opened. So the
# first can be made to shrink and the second to vanish at a known moment.
test_vanishing() {
    local dir=$work/vanishing opened='' other
    mkdir "$dir"
    truncate -s 64G "$dir/1" "$dir/2" || { skip "a file that vanishes" "no large sparse files here"; return; }
    start "$dir" -j 1
    if ! poll reading "$child" "$dir/1" "$dir/2"; then
        check "a large file is being read" false
        finish
        return
    fi
    other=$dir/$((3 - ${opened##*/}))
    rm "$other"
    truncate -s 0 "$opened"
    finish
    check "a file that shrinks ends early, one that vanishes is named" fails_saying "$other: No such file or directory"
}

test_signal() { # NAME STATUS
    local opened='' began took dir=$work/sparse
    mkdir -p "$dir"
    truncate -s 64G "$dir/1" "$dir/2" || { skip "SIG$1" "no large sparse files here"; return; }
    cp -r "$tree/many" "$dir"
    start "$dir" -j 2
    poll reading "$child" "$dir/1" "$dir/2" || check "a large file is being read" false
    began=${EPOCHREALTIME/./}
    kill -"$1" "$child"
    wait "$child"
    status=$?
    took=$(((${EPOCHREALTIME/./} - began) / 1000))
    child=
    echo "# SIG$1: ended after $took ms"
    check "SIG$1: exit $2" exits "$2"
    check "SIG$1: ended within 5 s" test "$took" -lt 5000
    check "SIG$1: nothing printed" silent
    check "SIG$1: no summary" no_summary
}

test_progress() {
    local dir=$work/watched line=$'\r\e[Kmd5all: 0 files, [0-9.]+ MB in [0-9.]+ s, [0-9.]+ MB/s'
    command -v script >/dev/null || { skip "the progress line" "script(1) is not installed"; return; }
    mkdir "$dir"
    truncate -s 64G "$dir/large" || { skip "the progress line" "no large sparse files here"; return; }
    CADRE_WORKERS=1 script -qefc "'$program' '$dir' >'$work/out'" "$work/screen" >/dev/null </dev/null &
    child=$!
    check "a terminal gets a progress line, with a single worker, too" poll grep -qsE "$line" "$work/screen"
    check "it is drawn again and again" poll grep -qsE "$line$line" "$work/screen"
    truncate -s 0 "$dir/large"
    finish
    check "the progress line is erased before the summary" \
        grep -qE $'s\r\e\\[Kmd5all: 1 files, .* MB/s\r$' <(tail -n 3 "$work/screen")
    run "$tree"
    check "what is not a terminal gets no progress line" test "$(wc -l <"$work/err")$(tr -dc '\r' <"$work/err")" = 1
}

# -------------------------------------------------------------------------------------------------------------- main

build_tree
equal_in_all_combinations "$tree" 1
equal_however_named
test_unreadable
test_errors
test_output_errors
test_vanishing
test_signal INT 130
test_signal TERM 143
test_progress
if [[ $mode == long ]]; then
    equal_in_all_combinations /usr/include "$runs"
    equal_in_all_combinations /usr/share/doc "$runs"
else
    expect /usr/include
    run /usr/include
    check "/usr/include equals find and md5sum" same
fi
echo "1..$count"
[[ $failed -eq 0 ]] || { echo "# $failed of $count failed"; exit 1; }
