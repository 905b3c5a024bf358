#!/bin/sh
# Opens sealed segments with independent Arrow readers (polars, arrow-js) and compares what
# they find with hindcast's own reader. Needs node >= 20, npm and go.
#
#   run.sh STORE_DIR     compare the segments of that store
#   run.sh               make a store of generated rows and compare that
#
# Exit status 0: all equal. 1: different, or a reader refused a segment.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT INT TERM
if [ ! -e "$here/node_modules/.package-lock.json" ] || [ "$here/package-lock.json" -nt "$here/node_modules/.package-lock.json" ]; then
	(cd "$here" && npm ci --no-audit --no-fund --loglevel=error)
	touch "$here/node_modules/.package-lock.json"
fi
(cd "$here" && go build -o "$tmp/sums" ./sums)
if [ $# -gt 0 ]; then
	dir=$(CDPATH= cd -- "$1" && pwd)
	"$tmp/sums" "$dir" >"$tmp/ours"
else
	dir=$tmp/store
	"$tmp/sums" -make "$dir" >"$tmp/ours"
fi
status=0
for reader in polars arrow-js; do
	if node "$here/read.mjs" "$reader" "$dir" >"$tmp/theirs"; then
		node "$here/compare.mjs" "$tmp/ours" "$tmp/theirs" "$reader" || status=1
	else
		echo "$reader: could not read the segments" >&2
		status=1
	fi
done
exit $status
