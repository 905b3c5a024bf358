#!/bin/sh
# Records the demo incident live and asks about it. Used by `make demo`.
#
#   show.sh HINDCAST
set -eu
cd "$(dirname "$0")/../.."
hindcast=$1
if [ "$(id -u)" != 0 ]; then
    echo "recording needs root; without it try: $hindcast ps testdata/demo.hind" >&2
    exit 1
fi
work=$(mktemp -d /tmp/hindcast-demo.XXXXXX)
trap 'rm -rf "$work"' EXIT
run=$work/run
out=.cache/demo
rm -rf "$out"
mkdir -p "$run/bin" "$out"
testdata/demo/build.sh "$run/bin"

say() {
    printf '\n$ %s\n' "$*"
    "$@"
}

say "$hindcast" record -w "$out/store" -- testdata/demo/run.sh "$run"
say "$hindcast" bundle "$out/store" -w "$out/demo.hind" --no-redact
say "$hindcast" info "$out/demo.hind"
say "$hindcast" ps "$out/demo.hind"
say "$hindcast" why "$out/demo.hind" "$run/tmp/.x"
shell=$("$hindcast" events "$out/demo.hind" 'evt.type = exec and proc.name = sh and proc.args contains "/fetch "' -F proc.id)
say "$hindcast" blast "$out/demo.hind" "$shell"
