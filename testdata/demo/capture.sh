#!/bin/sh
# Records the demo incident in a small virtual machine and writes the bundle. On a
# machine of its own the capture holds that incident and a bare host, and nothing of
# whoever made it. Needs root and Debian's packages (they are fetched), not KVM.
#
#   capture.sh HINDCAST OUT.hind
set -eu
hindcast=$(realpath "$1")
out=$(realpath -m "$2")
cd "$(dirname "$0")/../.."
kernel=${KERNEL:-linux-image-6.12-cloud-amd64}
cache=$PWD/.cache/guest
mkdir -p "$cache"

for tool in qemu-system-x86_64:qemu-system-x86 cpio:cpio; do
    command -v "${tool%:*}" >/dev/null || apt-get -qq install -y --no-install-recommends "${tool#*:}"
done
if ! ls "$cache"/boot/vmlinuz-* >/dev/null 2>&1; then
    package=$(apt-cache depends "$kernel" | awk '/Depends: linux-image/ { print $2; exit }')
    (cd "$cache" && apt-get -qq -o APT::Sandbox::User=root download "${package:-$kernel}" && dpkg-deb -x linux-image-*.deb .)
fi

root=$cache/root
rm -rf "$root"
mkdir -p "$root/opt/demo" "$root/srv/app/bin" "$root/var/lib" "$root/etc"
CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o "$root/init" ./testdata/demo/guest
testdata/demo/build.sh "$root/srv/app/bin"
cp testdata/demo/run.sh "$root/opt/demo/"
install -D "$hindcast" "$root/usr/bin/hindcast"
ln -s usr/bin "$root/bin"
for tool in dash mkdir rm cat chmod dirname; do # what run.sh uses, and the libraries of these
    file=$(realpath "$(command -v "$tool")")
    install -D "$file" "$root/usr/bin/$tool"
    ldd "$file" | grep -o '/[^ ]*' | while read -r lib; do [ -e "$root$lib" ] || install -D "$(realpath "$lib")" "$root$lib"; done
done
ln -s dash "$root/usr/bin/sh"
(cd "$root" && find . | cpio --quiet -o -H newc) | gzip -1 >"$cache/initramfs"

rm -f "$cache/out"
timeout 300 qemu-system-x86_64 -accel tcg,thread=single -cpu max,cx16=off -smp 2 -m 2G -nodefaults -display none -no-reboot \
    -kernel "$(ls "$cache"/boot/vmlinuz-* | head -1)" -initrd "$cache/initramfs" -append 'console=ttyS0 quiet panic=-1' \
    -serial stdio -serial "file:$cache/out" </dev/null | tee "$cache/console"
grep -q 'guest: done' "$cache/console"
mv "$cache/out" "$out"
ls -l "$out"
