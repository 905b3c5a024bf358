#!/bin/sh
# Builds the programs of the demo incident into a directory. Folders called testdata
# are outside ./..., so they are named here.
#
#   build.sh BINDIR
set -eu
mkdir -p "$1"
bin=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."
CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o "$bin/" ./testdata/demo/web ./testdata/demo/c2 \
    ./testdata/demo/fetch ./testdata/demo/payload ./testdata/demo/attack
