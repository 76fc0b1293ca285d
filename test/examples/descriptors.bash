# SPDX-License-Identifier: MIT
# Which sockets has a program when its work is done? It gets a full pipe as standard output and error, so that it cannot say its
# last word and stays. Source it after common.bash.
#
#     start_held ARGUMENTS...      in the background, as $held
#     takes_interrupts, has_sockets, has_no_sockets        of $held, to be polled
#     let_go                       it may say its last word and end: $status and the file out

start_held() {
    rm -f full
    mkfifo full
    exec 8<>full
    dd if=/dev/zero of=full oflag=nonblock bs=4096 2>/dev/null
    dd if=/dev/zero of=full oflag=nonblock bs=1 2>/dev/null
    "$program" "$@" >full 2>&1 </dev/null 8>&- &
    held=$!
}

takes_interrupts() { (($(sed -n 's/^SigCgt:\t*/0x/p' "/proc/$held/status") & 2)); }
sockets_of() { ls -l "/proc/$1/fd" 2>/dev/null | grep -c 'socket:'; }
has_sockets() { [[ $(sockets_of "$held") -gt 0 ]]; }
has_no_sockets() { kill -0 "$held" && [[ $(sockets_of "$held") -eq 0 ]]; }

let_go() {
    exec 9<full 8>&-
    tr -d '\0' <&9 >out
    exec 9<&-
    wait "$held"
    status=$?
    : >err
}
