# shellcheck shell=bash
# Sourced by the demos: how they speak, and where they write.
#
#   say TEXT              a heading
#   show COMMAND ARGS...  shows a command as one would type it, then runs it
#   fresh_folder FOLDER   makes the folder, emptied of what an earlier demo left; refuses one of the user's

say() { printf '\n== %s\n' "$*"; }

show() {
    printf '$ %s' "${1##*/}"
    printf ' %s' "${@:2}"
    printf '\n'
    "$@"
}

fresh_folder() {
    if [ -e "$1" ]; then
        if [ ! -e "$1/made-by-demo" ]; then
            echo "$1 exists and was not made by the demo; give another --out" >&2
            exit 2
        fi
        rm -rf "$1"
    fi
    mkdir -p "$1"
    : >"$1/made-by-demo"
}
