#!/bin/bash
# Runs the kernel tests on stock Debian kernels under QEMU (software emulation; no KVM needed).
#
#	run.sh [5.10] [6.1] [6.12] [sid] ...	default: 6.1 6.12
#
# Needs Debian with apt; installs QEMU when it is missing. Kernels and logs are kept in
# $HINDCAST_VM_CACHE (default: .cache/vm in the repository); TESTS chooses tests by name, PACKAGE
# another package than ./bpf/kerntest, and VM_TIMEOUT bounds each guest in seconds. With ICOUNT=1
# the guest's clock counts instructions, which makes them the same in every run. Prints one line per kernel; fails when a test does.
set -euo pipefail
export PATH=$PATH:/sbin:/usr/sbin
{ # read whole before it runs: it may be edited meanwhile
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../../.." && pwd)
cache=${HINDCAST_VM_CACHE:-$top/.cache/vm}
mkdir -p "$cache/apt/lists/partial" "$cache/apt/archives/partial" "$cache/kernel"
[ $# -gt 0 ] || set -- 6.1 6.12

missing=()
command -v qemu-system-x86_64 >/dev/null || missing+=(qemu-system-x86)
command -v cpio >/dev/null || missing+=(cpio)
command -v xz >/dev/null || missing+=(xz-utils)
command -v mkfs.ext4 >/dev/null || [ -x /sbin/mkfs.ext4 ] || missing+=(e2fsprogs)
[ -x /bin/busybox ] && ! ldd /bin/busybox >/dev/null 2>&1 || missing+=(busybox-static)
if [ ${#missing[@]} -gt 0 ]; then
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
fi

# An own apt configuration: the other suites of the mirror that this machine uses anyway.
uri=$(apt-cache policy base-files | grep -oE 'https?://[^ ]+' | head -1)
key=/usr/share/keyrings/debian-archive-keyring.gpg
apt_opts=(-o "Dir::Etc::sourcelist=$cache/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
	-o "Dir::State::lists=$cache/apt/lists" -o "Dir::Cache=$cache/apt" -o APT::Sandbox::User=root)

# fetch VERSION: prints the path of its kernel image.
fetch() {
	local version=$1 suite pattern package dir=$cache/kernel/$1
	case $version in
	5.10) suite=bullseye pattern='^linux-image-5\.10\..*-cloud-amd64$' ;;
	6.1) suite=bookworm pattern='^linux-image-6\.1\..*-cloud-amd64$' ;;
	6.12) suite=trixie pattern='^linux-image-6\.12\..*-cloud-amd64$' ;;
	sid) suite=sid pattern='^linux-binary-[0-9].*-cloud-amd64$' ;;
	*) echo "run.sh: unknown kernel $version: use 5.10, 6.1, 6.12 or sid" >&2 && return 2 ;;
	esac
	if [ -z "$(find "$dir" -name 'vmlinuz*' -size +1M 2>/dev/null)" ]; then
		echo "deb [signed-by=$key] $uri $suite main" >"$cache/apt/sources.list"
		apt-get "${apt_opts[@]}" update -qq >&2
		package=$(apt-cache "${apt_opts[@]}" search -n "$pattern" | cut -d' ' -f1 | grep -v unsigned | sort -V | tail -1)
		[ -n "$package" ] || { echo "run.sh: no kernel package for $version in $suite" >&2 && return 1; }
		(cd "$cache/apt" && apt-get "${apt_opts[@]}" download -qq "$package" >&2 && dpkg -x "$package"_*.deb "$dir" && rm -f "$package"_*.deb)
	fi
	find "$dir" -name 'vmlinuz*' -size +1M | head -1
}

# Emulation is slow enough alone: one guest at a time, whoever asks.
exec 9>"$cache/lock"
flock 9

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/fs"/{bin,lib64,proc,sys,dev,tmp,etc,lib/x86_64-linux-gnu}
cp /bin/busybox /bin/dash /bin/true /bin/sleep "$root/fs/bin/"
ln -s dash "$root/fs/bin/sh"
cp /lib64/ld-linux-x86-64.so.2 "$root/fs/lib64/"
cp /lib/x86_64-linux-gnu/libc.so.6 "$root/fs/lib/x86_64-linux-gnu/"
cp "$here/init" "$root/fs/init"
(cd "$top" && CGO_ENABLED=0 go test -c -o "$root/fs/kerntest.test" "${PACKAGE:-./bpf/kerntest}")
(cd "$root/fs" && find . | cpio -o -H newc --quiet | gzip -1) >"$root/initrd"

truncate -s 256M "$root/disk"
mkfs.ext4 -q -F "$root/disk"

failed=0
for version in "$@"; do
	image=$(fetch "$version")
	log=$cache/$version.log
	# A small module of its own, so that a real one is loaded and removed.
	rm -rf "$root/more" && mkdir "$root/more"
	module=$(cd "$cache/kernel/$version" && find . -path '*/kernel/drivers/net/dummy.ko*' | head -1)
	if [ -n "$module" ]; then
		to=$root/more/lib/${module#*/lib/}
		mkdir -p "$(dirname "$to")"
		cp "$cache/kernel/$version/$module" "$to"
		[ "${to%.xz}" = "$to" ] || xz -d "$to"
	fi
	# What a disk with ext4 takes, in the order in which it must be loaded; some is built in.
	n=10
	mkdir "$root/more/modules"
	for name in crc16 crc32c_generic libcrc32c crc32c-cryptoapi mbcache jbd2 ext4 loop; do
		module=$(find "$cache/kernel/$version" -name "$name.ko*" | head -1)
		n=$((n + 1))
		case $module in
		'') ;;
		*.xz) xz -dc "$module" >"$root/more/modules/$n-$name.ko" ;;
		*) cp "$module" "$root/more/modules/$n-$name.ko" ;;
		esac
	done
	cp "$root/disk" "$root/more/disk"
	(cd "$root/more" && find . | cpio -o -H newc --quiet | gzip -1) | cat "$root/initrd" - >"$root/initrd.more"
	# QEMU 7.2 damages the flags when it emulates cmpxchg16b, and 6.12 dies of it now and then; so it
	# does of code that one processor patches while another runs it, hence one after the other. From
	# 6.18 on, task and socket storage cannot be allocated on a processor without cmpxchg16b.
	cpu=max
	[ "$version" = sid ] || cpu=max,cx16=off
	thread=single
	[ "$version" != sid ] || thread=multi
	clock=(-smp 2)
	[ -z "${ICOUNT:-}" ] || { clock=(-smp 1 -icount "shift=0,sleep=off") && thread=single; }
	timeout "${VM_TIMEOUT:-600}" qemu-system-x86_64 -accel tcg,thread=$thread -cpu $cpu "${clock[@]}" -m 2048 \
		-nographic -no-reboot -kernel "$image" -initrd "$root/initrd.more" \
		-append "console=ttyS0 quiet panic=-1 lsm=lockdown,capability,yama,apparmor,bpf nokaslr mitigations=off ${TESTS:+TESTS=$TESTS}" \
		</dev/null >"$log" 2>&1 || true
	name=$(grep -ao 'kernel [0-9][^[:space:]]*' "$log" | head -1)
	pass=$(grep -ac '^--- PASS' "$log" || true)
	skip=$(grep -ac '^--- SKIP' "$log" || true)
	if grep -aq '^exit status 0' "$log"; then
		echo "ok   ${name:-$version}: $pass passed, $skip skipped"
	else
		failed=1
		echo "FAIL ${name:-$version}: $pass passed, $skip skipped"
		grep -aE -A12 '^--- FAIL|panic|Oops' "$log" | head -60 || true
	fi
	grep -a -B1 '^--- SKIP' "$log" | grep -avE '^(--- SKIP|--)' | sed 's/^/     skip: /' || true
done
exit $failed
}
