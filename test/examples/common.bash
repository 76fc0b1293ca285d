# SPDX-License-Identifier: MIT
# What the tests of the examples share: a folder of their own, runs of the program, and checks, printed as TAP.
#
#     . "$(dirname "$0")/common.bash"     $1 is the program; the current folder is $work then
#     workers 1 2 8 -- FUNCTION...        calls the functions once for each number of workers
#     conclude                            the last line
set -u
export LC_ALL=C

# A chaos build prints its seed when it has to choose one: not among what is compared.
export CADRE_CHAOS_SEED=${CADRE_CHAOS_SEED:-$RANDOM$RANDOM}
echo "# CADRE_CHAOS_SEED=$CADRE_CHAOS_SEED, for chaos builds"

here=$(cd "$(dirname "$0")" && pwd)
program=$(realpath -- "${1:?usage: $0 PROGRAM}") || exit 2
helpers=$(dirname "$program")/../test/examples # where helper programs are built
work=$(mktemp -d "${TMPDIR:-/tmp}/example.XXXXXX") || exit 2
count=0
failed=0
status=0
suffix=
at_exit=()
trap 'for command in "${at_exit[@]}"; do $command; done; rm -rf "$work"' EXIT
cd "$work" || exit 2

# check NAME COMMAND...: ok when the command succeeds.
check() {
    local name=$1$suffix
    shift
    count=$((count + 1))
    if "$@"; then
        echo "ok $count - $name"
    else
        echo "not ok $count - $name"
        failed=$((failed + 1))
        echo "#   exit status $status; standard output and standard error:"
        head -n 12 out err 2>/dev/null | sed 's/^/#   /'
    fi
}

# skip NAME REASON
skip() {
    count=$((count + 1))
    echo "ok $count - $1$suffix # SKIP $2"
}

user=() # a command prefix: as whom to run

# run ARGUMENTS...: leaves $status and the files out and err.
run() {
    timeout --kill-after=5 90 "${user[@]}" "$program" "$@" >out 2>err
    status=$?
}

# gives STATUS OUT ERR: what the last run gave, exactly, but for the newline at the end of each.
gives() { [[ $status -eq $1 && $(<out) == "$2" && $(<err) == "$3" ]]; }

# gives_sorted STATUS OUT ERR: the same, when lines may come in any order; OUT and ERR are sorted.
gives_sorted() { [[ $status -eq $1 && $(sort out) == "$2" && $(sort err) == "$3" ]]; }

# unprivileged: from now on run as somebody who may not read everything; false when that cannot be.
unprivileged() {
    [[ $(id -u) -eq 0 && ${#user[@]} -eq 0 ]] || return 0
    user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    "${user[@]}" true 2>/dev/null || return 1
    chmod 755 "$work"
    install -m 755 "$program" "$work/unprivileged" && program=$work/unprivileged
}

exits() { [[ $status -eq $1 ]]; }

# refuses REASON: a wrong command line; nothing is done.
refuses() { [[ $status -eq 64 && ! -s out ]] && grep -qF -- "$1" err; }

# poll COMMAND...: until it succeeds; false after a minute.
poll() {
    local end=$((SECONDS + 60))
    until "$@"; do
        [[ $SECONDS -lt $end ]] || return 1
        sleep 0.02
    done
}

workers() {
    local numbers=() number
    while [[ $1 != -- ]]; do numbers+=("$1"); shift; done
    shift
    for number in "${numbers[@]}"; do
        export CADRE_WORKERS=$number
        suffix=", CADRE_WORKERS=$number"
        for function in "$@"; do $function; done
    done
    suffix=
}

conclude() {
    echo "1..$count"
    [[ $failed -eq 0 ]] || { echo "# $failed of $count failed"; exit 1; }
}
