package text

import (
	"strings"
	"testing"
	"time"

	"hindcast/format/event"
	"hindcast/query/lang"
)

// Each event of catalogue 2 is a sentence, not a list of numbers.
func TestEventsAreShownInWords(t *testing.T) {
	for _, c := range []struct {
		row  event.Row
		want string
	}{
		{event.Row{Type: event.ExecFailed, Path: []byte("/bin/x"), Argv: []byte("x\x00-a\x00"), Ret: -13, Flags: event.FlagFailed}, `/bin/x  "x -a"  EACCES`},
		{event.Row{Type: event.SetName, Comm: []byte("a"), Text: []byte("kworker/0"), PID: 5, TID: 5, OPID: 5, OTID: 6}, "a → kworker/0  thread 6 of 5"},
		{event.Row{Type: event.Session, Op: 2, N1: 7, N2: 8, PID: 5, OPID: 9}, "setpgid  session 7 group 8  of 9"},
		{event.Row{Type: event.Reparent, OPID: 9, N1: 1}, "9 → 1"},
		{event.Row{Type: event.Namespace, Op: 3, N1: 4026531840, N2: 4026532000}, "net 4026531840 → 4026532000"},
		{event.Row{Type: event.Access, Op: 1, N1: 16, OPID: 9}, "ptrace 9  request 16"},
		{event.Row{Type: event.Access, Op: 3, OPID: 9, N3: 64}, "writes memory of 9  64 B"},
		{event.Row{Type: event.Mismatch, Op: 2, Path: []byte("/b"), Path2: []byte("/a"), Text: []byte("/b")}, "string changed during the call  used /b  asked for /a  at first /b"},
		{event.Row{Type: event.MmapWrite, Path: []byte("/srv/db"), N3: 4096}, "/srv/db  4 KiB"},
		{event.Row{Type: event.Mprotect, N3: 4096}, "memory of no file  executable  4 KiB"},
		{event.Row{Type: event.Attr, Op: 1, Path: []byte("/f"), Text: []byte("user.x")}, "setxattr  /f  user.x"},
		{event.Row{Type: event.FDNew, Op: 1, FD: 3, N1: 4, Ino: 77}, "pipe  fd 3 4  [77]"},
		{event.Row{Type: event.FDNew, Op: 3, FD: 3, N1: -1, Ino: 77, Path: []byte("memfd:x")}, "memfd  fd 3  [77]  memfd:x"},
		{event.Row{Type: event.FDPassed, Op: 1, FD: 3, Path: []byte("/etc/shadow"), OPID: 9}, "received  fd 3  /etc/shadow  from 9"},
		{event.Row{Type: event.FDPassed, Op: 2, FD: 3, Path: []byte("/etc/shadow"), OPID: 9}, "sent  fd 3  /etc/shadow  to 9"},
		{event.Row{Type: event.Bind, LAddr: []byte("0.0.0.0"), LPort: 53, Proto: 17}, "0.0.0.0:53 udp"},
		{event.Row{Type: event.SocketNew, Family: 17, N2: 3, N3: 768}, "packet raw protocol 768"},
		{event.Row{Type: event.UnixConn, Op: 2, Family: 1, Ino: 5, Ino2: 6, Path: []byte("@x"), OPID: 9}, "accept  unix:[5] → [6] @x of 9"},
		{event.Row{Type: event.SockFirst, Op: 1, Family: 1, Ino: 5, Ino2: 6, Ret: 3}, "unix:[5] → [6]  send 3 B"},
		{event.Row{Type: event.ConnectDenied, Family: 2, RAddr: []byte("10.0.0.1"), RPort: 80, Ret: -101, Flags: event.FlagFailed}, "10.0.0.1:80  ENETUNREACH"},
		{event.Row{Type: event.BPF, Op: 5, N1: 1, N2: 44, Text: []byte("evil"), N7: 1}, "prog_load  program 44  evil  of the recorder"},
		{event.Row{Type: event.Mount, Op: 1, Path: []byte("/mnt"), Path2: []byte("/dev/sda1"), Text: []byte("ext4")}, "mount  /mnt  of /dev/sda1  type ext4"},
		{event.Row{Type: event.Cgroup, Op: 4, Path: []byte("/a"), OPID: 9}, "moved_in  /a  process 9"},
		{event.Row{Type: event.IOUring, Op: 35, Path: []byte("/a"), Path2: []byte("/b"), Ret: 0, Flags: event.FlagIOUring}, "renameat  /a → /b  result 0"},
		{event.Row{Type: event.Unlink, Path: []byte("/a"), Flags: event.FlagCompat}, "/a  [32-bit]"},
		{event.Row{Type: event.Mkdir, Path: []byte("/dev/x"), Mode: 0o020600}, "/dev/x  0600  chr"},
		{event.Row{Type: event.Chmod, Path: []byte("/a"), N1: 0o4755, N2: 0o100755}, "/a  04755, was 0755"},
	} {
		c.row.TS = 1
		var b strings.Builder
		e := NewEvents(&b, lang.Env{Arch: "amd64"}, Options{Width: 200, Loc: time.UTC})
		if err := e.Row(&c.row, "0:0", 0); err != nil {
			t.Fatal(err)
		}
		line := strings.TrimRight(b.String(), "\n")
		_, got, _ := strings.Cut(line, "  "+c.row.Type.String())
		if got = strings.TrimLeft(got, " "); got != c.want {
			t.Errorf("%s:\n  %s\nwant\n  %s", c.row.Type, got, c.want)
		}
	}
}
