# shellcheck shell=bash
# Sourced by the demo, the peer tests and the bench: starts a world server, and ends it whatever happens.
#
#   start_world BINARY ARGS...    sets $world_url and $world_pid; the server's log is $world_log
#   cleanup_world                 ends it; call it from the script's EXIT trap

start_world() {
    world_log=$(mktemp)
    "$1" serve --port 0 "${@:2}" >"$world_log" 2>&1 &
    world_pid=$!
    local tries
    for ((tries = 0; tries < 200; tries++)); do
        world_url=$(grep -om1 'http://127\.0\.0\.1:[0-9]*' "$world_log" || true)
        [ -z "$world_url" ] || return 0
        if ! kill -0 "$world_pid" 2>/dev/null; then
            world_pid=
            break
        fi
        sleep 0.05
    done
    echo "the world server did not start:" >&2
    cat "$world_log" >&2
    return 1
}

cleanup_world() {
    if [ -n "${world_pid-}" ]; then
        kill "$world_pid" 2>/dev/null || true
        wait "$world_pid" 2>/dev/null || true
        world_pid=
    fi
    rm -f "${world_log-}"
}
