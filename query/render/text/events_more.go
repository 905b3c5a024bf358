package text

import (
	"fmt"
	"strings"

	"hindcast/format/event"
	"hindcast/query/lang"
	"hindcast/query/lang/sym"
)

// Names of the small codes, by number; the catalogue's sentences define them.
var (
	sessionOps   = []string{"", "setsid", "setpgid", "becomes subreaper", "is no subreaper any more"}
	accessOps    = []string{"", "ptrace", "reads memory of", "writes memory of", "reads mem file of", "writes mem file of", "takes a descriptor of", "advises memory of", "opens pidfd of", "compares with"}
	mismatchKind = []string{"", "another name", "string changed during the call", "another address", "another program"}
	fdHow        = []string{"", "received", "sent", "taken by pidfd_getfd", "added by a seccomp supervisor"}
	moduleOps    = []string{"", "load from memory", "load", "remove", "loaded", "kexec load", "kexec load", "removed"}
)

// code names a small code, and shows the number when it has no name.
func code(names []string, n int64) string {
	if n >= 0 && n < int64(len(names)) && names[n] != "" {
		return names[n]
	}
	return fmt.Sprint(n)
}

// unix shows the two ends of a unix socket.
func (p *printer) unix(r *event.Row) string {
	s := fmt.Sprintf("unix:[%d]", r.Ino)
	if r.Ino2 != 0 {
		s += p.ours(" → ") + fmt.Sprintf("[%d]", r.Ino2)
	}
	if len(r.Path) > 0 {
		s += " " + p.val(string(r.Path))
	}
	if r.OPID != 0 {
		s += fmt.Sprintf(" of %d", r.OPID)
	}
	return s
}

// more says in words what the events of catalogue 2 are about; false where it has none.
func (p *printer) more(b *strings.Builder, r *event.Row, env lang.Env) bool {
	val := func(s []byte) string { return p.val(string(s)) }
	named := func(s []byte, or string) string {
		if len(s) > 0 {
			return p.val(string(s))
		}
		return or
	}
	object := named(r.Path, fmt.Sprintf("inode %d", r.Ino))
	target := func() {
		if r.OPID != 0 {
			fmt.Fprintf(b, " %d", r.OPID)
		}
	}
	args := func(s []byte) string {
		return `"` + p.short(strings.ReplaceAll(strings.TrimRight(string(s), "\x00"), "\x00", " "), 64) + `"`
	}
	switch r.Type {
	case event.ExecFailed:
		b.WriteString(named(r.Path, "(no name)"))
		if len(r.Argv) > 0 {
			b.WriteString("  " + args(r.Argv))
		}
	case event.SetName:
		b.WriteString(val(r.Comm) + p.ours(" → ") + val(r.Text))
		if r.OTID != 0 && r.OTID != r.TID {
			fmt.Fprintf(b, "  thread %d of %d", r.OTID, r.OPID)
		}
	case event.Session:
		b.WriteString(code(sessionOps, int64(r.Op)))
		fmt.Fprintf(b, "  session %d group %d", r.N1, r.N2)
		if r.OPID != 0 && r.OPID != r.PID {
			fmt.Fprintf(b, "  of %d", r.OPID)
		}
	case event.Reparent:
		fmt.Fprintf(b, "%d%s%d", r.OPID, p.ours(" → "), r.N1)
	case event.Namespace:
		fmt.Fprintf(b, "%s %d%s%d", code(event.Codes["ns.type"], int64(r.Op)), r.N1, p.ours(" → "), r.N2)
		if r.OPID != 0 && r.OPID != r.PID {
			fmt.Fprintf(b, "  of %d", r.OPID)
		}
	case event.Access:
		b.WriteString(code(accessOps, int64(r.Op)))
		target()
		if r.Op == 1 {
			fmt.Fprintf(b, "  request %d", r.N1)
		}
		if r.N3 > 0 {
			b.WriteString("  " + Size(uint64(r.N3)))
		}
	case event.Mismatch:
		b.WriteString(code(mismatchKind, int64(r.Op)) + "  used " + object + "  asked for " + named(r.Path2, "(no name)"))
		if len(r.Text) > 0 {
			b.WriteString("  at first " + val(r.Text))
		}
	case event.Close:
		fmt.Fprintf(b, "fd %d  %s", r.FD, named(r.Path, fmt.Sprintf("inode %d", r.Ino)))
	case event.MmapWrite:
		b.WriteString(object + "  " + Size(uint64(r.N3)))
	case event.Unmap:
		fmt.Fprintf(b, "0x%x  %s", uint64(r.N2), Size(uint64(r.N3)))
	case event.Mprotect:
		if r.Ino == 0 && len(r.Path) == 0 {
			object = "memory of no file"
		}
		fmt.Fprintf(b, "%s  executable  %s", object, Size(uint64(r.N3)))
	case event.Dirty:
		fmt.Fprintf(b, "%s  %d pages", object, r.OpsOut)
	case event.Attr:
		b.WriteString(code(event.Codes["attr.op"], int64(r.Op)) + "  " + object)
		if len(r.Text) > 0 {
			b.WriteString("  " + val(r.Text))
		}
	case event.FDNew:
		fmt.Fprintf(b, "%s  fd %d", code(event.Codes["fd.kind"], int64(r.Op)), r.FD)
		if r.N1 >= 0 && r.Op <= 2 {
			fmt.Fprintf(b, " %d", r.N1)
		}
		if r.Ino != 0 {
			fmt.Fprintf(b, "  [%d]", r.Ino)
		}
		if r.Ino2 != 0 {
			fmt.Fprintf(b, " [%d]", r.Ino2)
		}
		if len(r.Path) > 0 {
			b.WriteString("  " + val(r.Path))
		}
	case event.FDPassed:
		fmt.Fprintf(b, "%s  fd %d  %s", code(fdHow, int64(r.Op)), r.FD, object)
		if r.OPID != 0 {
			fmt.Fprintf(b, "  %s %d", [...]string{"from", "to"}[b2i(r.Op == 2)], r.OPID)
		}
	case event.Bind:
		if r.Family == 1 {
			b.WriteString(p.unix(r))
			break
		}
		b.WriteString(p.val(endpoint(r.LAddr, r.LPort)))
		if r.Proto != 6 {
			b.WriteString(" " + sym.Protocol(int(r.Proto)))
		}
	case event.SocketNew:
		fmt.Fprintf(b, "%s %s protocol %d", sym.Family(int(r.Family)), code(event.Codes["net.type"], r.N2), r.N3)
	case event.UnixConn:
		b.WriteString(code(event.Codes["net.op"], int64(r.Op)) + "  " + p.unix(r))
	case event.ConnectDenied:
		if r.Family == 1 {
			b.WriteString(named(r.Path, p.unix(r)))
			break
		}
		b.WriteString(p.val(endpoint(r.RAddr, r.RPort)))
	case event.Module:
		b.WriteString(code(moduleOps, int64(r.Op)) + "  " + named(r.Text, "") + " " + named(r.Path, ""))
	case event.BPF:
		b.WriteString(code(event.Codes["bpf.cmd"], int64(r.Op)))
		if r.N1 != 0 {
			fmt.Fprintf(b, "  %s %d", code(event.Codes["bpf.object"], r.N1), r.N2)
		}
		if len(r.Text) > 0 {
			b.WriteString("  " + val(r.Text))
		}
		if len(r.Path) > 0 {
			b.WriteString("  " + val(r.Path))
		}
		if r.N7 != 0 {
			b.WriteString("  of the recorder")
		}
	case event.Mount:
		b.WriteString(code(event.Codes["mount.op"], int64(r.Op)) + "  " + named(r.Path, ""))
		if len(r.Path2) > 0 {
			b.WriteString("  of " + val(r.Path2))
		}
		if len(r.Text) > 0 {
			b.WriteString("  type " + val(r.Text))
		}
	case event.Cgroup:
		b.WriteString(code(event.Codes["cgroup.op"], int64(r.Op)) + "  " + named(r.Path, "/"))
		if r.OPID != 0 {
			fmt.Fprintf(b, "  process %d", r.OPID)
		}
	case event.IOUring:
		b.WriteString(code(event.Codes["uring.op"], int64(r.Op)))
		if len(r.Path) > 0 || r.Ino != 0 {
			b.WriteString("  " + object)
		}
		if len(r.Path2) > 0 {
			b.WriteString(p.ours(" → ") + val(r.Path2))
		}
		if r.Ret >= 0 {
			fmt.Fprintf(b, "  result %d", r.Ret)
		}
	default:
		return false
	}
	return true
}

func b2i(v bool) int {
	if v {
		return 1
	}
	return 0
}
