//go:build linux && (amd64 || arm64)

package recorder

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"runtime"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"hindcast/format/clock"
	"hindcast/format/segment"
)

// boot reads the clock of all events.
func boot() clock.Boot {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) // fails for no argument we give
	return clock.Boot(t.Nano())
}

// readClocks reads both clocks as close together as it can: of a few tries the one between whose
// two readings of the boot clock the least time went by.
func readClocks() clock.Pair {
	var best clock.Pair
	least := clock.Boot(1 << 62)
	for range 5 {
		var t unix.Timespec
		a := boot()
		_ = unix.ClockGettime(unix.CLOCK_REALTIME, &t)
		b := boot()
		if d := b - a; d < least {
			least, best = d, clock.Pair{Boot: a + d/2, Wall: clock.Wall(t.Nano())}
		}
	}
	return best
}

// meta is what every segment says about this host and recording.
func meta(o *Options, started clock.Pair) segment.Meta {
	m := segment.Meta{
		MachineID: machineID(),
		BootID:    line("/proc/sys/kernel/random/boot_id"),
		Kernel:    line("/proc/sys/kernel/osrelease"),
		Arch:      runtime.GOARCH,
		Recorder:  o.Version,
		Config:    o.config(),
		Clock:     started,
		CPUs:      runtime.NumCPU(),
		Started:   started.Boot,
		Command:   o.Command,
	}
	m.Host, _ = os.Hostname()
	if n, err := ebpf.PossibleCPU(); err == nil {
		m.CPUs = n
	}
	return m
}

// machineID is a hash of the machine id, which itself is not to leave the machine.
func machineID() string {
	id := line("/etc/machine-id")
	if id == "" {
		return ""
	}
	d := sha256.Sum256([]byte("hindcast machine\x00" + id))
	return hex.EncodeToString(d[:16])
}

func line(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
