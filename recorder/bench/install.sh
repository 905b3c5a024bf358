#!/bin/sh
# Installs what the benchmark compares with and loads the host with, where that can be done
# (root on Debian); what is missing then has a row that says so. Servers that come with the
# packages are not started: the benchmark starts its own, on 127.0.0.1.
set -u
missing=
need() { command -v "$1" >/dev/null || missing="$missing $2"; }
need nginx nginx-light
need wrk wrk
need redis-server redis-server
need redis-benchmark redis-tools
need postmark postmark
need auditd auditd
need auditctl auditd
need strace strace
need perf linux-perf
need bpftrace bpftrace
need tar tar
need find findutils
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "not installed, and left out:$missing" >&2
    exit 0
fi
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' INT TERM HUP
fi
{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing; } >&2 ||
    echo "not installed, and left out:$missing" >&2
exit 0
