#!/usr/bin/env bash
# What deploy/run-local promises: a cluster from one command, safe to call again, that survives a
# killed member, says what is in its way, and leaves nothing behind.
#
# usage: ha-tests/run-local-test.sh BUILD-FOLDER
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$1
base=${QR_TEST_BASE_PORT:-24100}
dir=$(mktemp -d)
failed=0

run_local() { "$root/deploy/run-local" "$@" --dir "$dir"; }

finish() {
    run_local stop
    [ $failed -ne 0 ] && tail -n 20 "$dir"/member-*/quorated.log
    rm -rf "$dir"
    exit $failed
}
trap finish EXIT

check() { # what it is, command...
    local what=$1
    shift
    if "$@"; then echo "ok: $what"; else
        echo "FAILED: $what"
        failed=1
    fi
}

fails_saying() { # words, command...
    local words=$1 said
    shift
    said=$("$@" 2>&1) && { echo "it did not fail: $said"; return 1; }
    grep -qF -- "$words" <<<"$said" || { echo "it said: $said"; return 1; }
}

says() { # words, command...
    local words=$1 said
    shift
    said=$("$@" 2>&1) && grep -qF -- "$words" <<<"$said" && return 0
    echo "it said: $said"
    return 1
}

# SIGKILL is not yet the end: a loaded machine takes its time.
kill_and_wait() { # pid file
    local pid deadline=$((SECONDS + 60))
    pid=$(cat "$1")
    kill -KILL "$pid"
    until none_lives "$pid" >/dev/null || [ $SECONDS -ge $deadline ]; do sleep 0.05; done
}

pids() { cat "$dir"/member-*/quorated.pid "$dir"/proxy/quorated.pid "$dir"/child/netdata.pid 2>/dev/null; }
pids_are() { [ "$(pids)" = "$1" ]; }
none_lives() { # pids
    local pid
    for pid in $1; do
        # Where nobody reaps orphans a dead one stays, without a command line.
        if [ -n "$(tr -d '\0' 2>/dev/null <"/proc/$pid/cmdline")" ]; then
            ps -o pid,stat,args -p "$pid"
            return 1
        fi
    done
}
get() { curl --silent --max-time 5 "http://127.0.0.1:$((base + $1 - 1))$2"; }
# The child's charts on a member, one a line.
charts_on() { get "$1" "/host/$(hostname)-child/api/v1/charts" | grep -oE '"id": *"[^"]+"' | sort; }
same_charts() {
    local deadline=$((SECONDS + 60)) one
    while [ $SECONDS -lt $deadline ]; do
        one=$(charts_on 1)
        [ "$(wc -l <<<"$one")" -ge 50 ] && [ "$one" = "$(charts_on 2)" ] &&
            [ "$one" = "$(charts_on 3)" ] && return 0
        sleep 0.5
    done
    echo "charts: $(charts_on 1 | wc -l), $(charts_on 2 | wc -l), $(charts_on 3 | wc -l)"
    return 1
}
healthy() {
    local deadline=$((SECONDS + 60))
    while [ $SECONDS -lt $deadline ]; do
        run_local status >/dev/null && return 0
        sleep 0.5
    done
    run_local status
    return 1
}

check "a folder without a cluster is said to be one" \
    fails_saying "there is no cluster" run_local status
check "a cluster starts from one command" \
    run_local start --base-port "$base" --build "$build" --proxy
first=$(pids)
check "three members, a proxy and a child run" [ "$(wc -w <<<"$first")" -eq 5 ]
check "the child streams to the proxy" \
    grep -q "destination = 127.0.0.1:$((base + 201))\$" "$dir/child/etc/stream.conf"
check "starting again says so" says "Member 2 runs already" run_local start --build "$build"
check "and starts nothing" pids_are "$first"
check "another shape is refused" fails_saying "members=3, not 5" run_local start --members 5
check "a second cluster on the same ports is refused by port" \
    fails_saying "port $base, for member 1, is in use" \
    "$root/deploy/run-local" start --dir "$dir/second" --base-port "$base" --build "$build" --no-child
check "each member knows the child's charts" same_charts
check "the cluster is healthy" healthy

kill_and_wait "$dir/member-2/quorated.pid"
check "a killed member is missed" fails_saying "member 2: not running" run_local status
check "a killed member starts again" run_local start-member 2
kill_and_wait "$dir/proxy/quorated.pid"
check "a killed proxy is missed" fails_saying "proxy: not running; do: deploy/run-local start" run_local status
check "and starts again" run_local start --build "$build"
check "the cluster is healthy again" healthy

last=$(pids)
check "it stops" run_local stop
check "and leaves no process" none_lives "$last $first"
check "stopping what is stopped is no error" run_local stop
check "its data is still there when it starts again" run_local start --build "$build" --no-child
check "and each member knows the child's charts" same_charts
