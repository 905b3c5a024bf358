#!/bin/sh
# Compiles every bpf/*/NAME.bpf.c to internal/obj/ARCH/NAME.o, the same bytes every time: debug
# paths are mapped away, the compiler's name is not recorded, DWARF is stripped and BTF kept.
# With names given (generate.sh open io) only those objects are made. Files with programs at single
# system calls are compiled a second time for the 32-bit table of x86-64, into NAME32.o.
set -eu
cd "$(dirname "$0")"
CLANG=${CLANG:-clang-19}
STRIP=${STRIP:-llvm-strip-19}
for arch in amd64 arm64; do
	case $arch in
	amd64) target=x86 ;;
	arm64) target=arm64 ;;
	esac
	mkdir -p internal/obj/$arch
	for src in */*.bpf.c; do
		name=$(basename "$src" .bpf.c)
		case " ${*:-$name} " in *" $name "*) ;; *) continue ;; esac
		for table in '' 32; do
			[ -z "$table" ] || { [ $arch = amd64 ] && grep -qE '^(PROG|CALL|IN|OUT|BOTH|HC_SYSCALL[A-Z_]*)\(' "$src"; } || continue
			out=internal/obj/$arch/$name$table.o
			$CLANG -g -O2 -mcpu=v3 -target bpf -D__TARGET_ARCH_$target \
				-fdebug-prefix-map="$PWD"=. -fno-ident -Wall -Werror -Wno-unused-function \
				-Wno-missing-declarations -Wno-address-of-packed-member \
				-isystem /usr/include/x86_64-linux-gnu -isystem /usr/include/aarch64-linux-gnu \
				-I include ${table:+-DHC_COMPAT} -c "$src" -o "$out"
			$STRIP -g "$out"
		done
	done
done
