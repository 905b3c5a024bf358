// Guest is the first process of the small virtual machine in which the committed
// capture is recorded, so that it holds the incident, a bare host and nothing of the
// machine it was made on. See capture.sh.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest: made to be the first process of a virtual machine")
		os.Exit(2)
	}
	if err := run(); err != nil {
		fmt.Println("guest:", err)
	} else {
		fmt.Println("guest: done")
	}
	syscall.Sync()
	time.Sleep(200 * time.Millisecond) // the console drains
	syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
}

func run() error {
	for _, m := range []struct{ fs, at string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}, {"tmpfs", "/run"},
		{"bpf", "/sys/fs/bpf"}, {"tracefs", "/sys/kernel/tracing"}, {"cgroup2", "/sys/fs/cgroup"},
	} {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount(m.fs, m.at, m.fs, 0, ""); err != nil && !errors.Is(err, syscall.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	if err := syscall.Sethostname([]byte("web-3")); err != nil {
		return err
	}
	os.Setenv("PATH", "/usr/bin:/bin")
	if err := loopback(); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	if err := step("hindcast", "record", "-w", "/var/lib/hindcast", "--", "/opt/demo/run.sh", "/srv/app"); err != nil {
		return err
	}
	if err := step("hindcast", "bundle", "/var/lib/hindcast", "-w", "/run/demo.hind", "--no-redact"); err != nil {
		return err
	}
	return send("/run/demo.hind", "/dev/ttyS1")
}

func step(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return nil
}

// loopback brings the interface up.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
}

// send copies a file to a serial line that is set to pass every byte as it is.
func send(file, line string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	tty, err := os.OpenFile(line, os.O_WRONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer tty.Close()
	t, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	t.Oflag, t.Lflag, t.Iflag = 0, 0, 0
	t.Cflag = t.Cflag&^unix.CBAUD | unix.B115200 | unix.CS8
	if err := unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, t); err != nil {
		return err
	}
	if _, err := tty.Write(b); err != nil {
		return err
	}
	return unix.IoctlSetInt(int(tty.Fd()), unix.TCSBRK, 1) // drain
}
