# SPDX-License-Identifier: MIT
# Servers on loopback for the tests of programs that fetch: lighttpd with the files and the scripts *.sh in $work/www, and the two
# ports of sockets.c. Sets $web (a URL), $silent and $refusing (ports). Source it after common.bash.

command -v lighttpd >/dev/null || { echo "1..0 # SKIP lighttpd is not installed"; exit 77; }

# Nobody may write where the server serves, but into $work/state. Root starts it as nobody.
as_user=()
if [[ $(id -u) -eq 0 ]]; then
    as_user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    "${as_user[@]}" true 2>/dev/null || as_user=()
fi
mkdir www state
chmod 755 .
chmod 777 state
echo "$$ $RANDOM $RANDOM" >www/token

configure() {
    cat <<END
server.document-root = "$work/www"
server.bind = "127.0.0.1"
server.port = $1
server.modules = ( "mod_cgi", "mod_setenv" )
server.errorlog = "$work/state/errors"
cgi.assign = ( ".sh" => "/bin/sh" )
setenv.add-environment = ( "STATE" => "$work/state" )
END
}

ours() { # is it our server that answers at port $1?
    local answer
    { exec 7<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || return 1
    printf 'GET /token HTTP/1.0\r\n\r\n' >&7
    answer=$(cat <&7)
    exec 7>&-
    [[ $answer == *"$(<www/token)"* ]]
}

answers_or_ended() { ours "$1" || ! kill -0 "$server" 2>/dev/null; }

# A port that is free now may be taken when the server binds it: then it ends, and another is tried.
start_web() {
    local port
    for _ in {1..50}; do
        port=$((20000 + RANDOM % 12000))
        configure $port >lighttpd.conf
        "${as_user[@]}" lighttpd -D -f lighttpd.conf >lighttpd.out 2>&1 &
        server=$!
        poll answers_or_ended $port
        if kill -0 $server 2>/dev/null && ours $port; then
            web=http://127.0.0.1:$port
            return
        fi
        stop_web
    done
    echo "# no web server: $(<lighttpd.out)"
    exit 2
}

stop_web() {
    kill "$server" 2>/dev/null
    wait "$server" 2>/dev/null
}

start_sockets() {
    coproc SOCKETS { exec "$helpers/sockets"; }
    read -r silent refusing <&"${SOCKETS[0]}" || { echo "# no sockets"; exit 2; }
}

start_web
at_exit+=(stop_web)
start_sockets
export RES_OPTIONS="timeout:1 attempts:1" # a name server that does not answer is soon given up
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
