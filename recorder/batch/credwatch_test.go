//go:build linux

package batch

import (
	"strings"
	"testing"

	"hindcast/format/clock"
	"hindcast/format/event"
)

// act is a row of thread 7 of process 5 with a set of credentials.
func act(ts clock.Boot, t event.Type, cred uint32, more ...func(*event.Row)) *event.Row {
	r := &event.Row{TS: ts, Type: t, TID: 7, PID: 5, PStart: 50, Image: 2, Cred: cred, Cgroup: 9, Comm: []byte("c")}
	for _, f := range more {
		f(r)
	}
	return r
}

func changedFrom(old uint32) func(*event.Row) { return func(r *event.Row) { r.N1 = int64(old) } }

const second = clock.Boot(1e9)

func TestCredentialsWithoutCall(t *testing.T) {
	flag := func(f uint32) func(*event.Row) { return func(r *event.Row) { r.Flags |= f } }
	tid := func(n uint32) func(*event.Row) { return func(r *event.Row) { r.TID = n } }
	child := func(r *event.Row) { r.OTID, r.OPID, r.OStart = 8, 8, 80 }
	asChild := func(r *event.Row) { r.TID, r.PID, r.PStart = 8, 8, 80 }
	for _, c := range []struct {
		name string
		rows []*event.Row
		want int
	}{
		{"same set", []*event.Row{act(1, event.Open, 1), act(2, event.Open, 1)}, 0},
		{"another set", []*event.Row{act(1, event.Open, 1), act(2, event.Open, 2), act(3, event.Open, 2)}, 1},
		{"twice", []*event.Row{act(1, event.Open, 1), act(2, event.Open, 2), act(3, event.Open, 1)}, 2},
		{"by a call", []*event.Row{act(1, event.Open, 1), act(2, event.CredChange, 2, changedFrom(1)), act(3, event.Open, 2)}, 0},
		{"by a call told late", []*event.Row{act(1, event.Open, 1), act(3, event.Open, 2), act(2, event.CredChange, 2, changedFrom(1)), act(4, event.Open, 2)}, 0},
		{"before a call", []*event.Row{act(1, event.Open, 1), act(2, event.CredChange, 3, changedFrom(2)), act(3, event.Open, 3)}, 1},
		{"by exec", []*event.Row{act(1, event.Open, 1), act(2, event.Exec, 2), act(3, event.Open, 2)}, 0},
		{"within exec", []*event.Row{act(1, event.Open, 1), act(2, event.MmapExec, 2), act(3, event.Exec, 2), act(4, event.Open, 2)}, 0},
		{"within exec of a thread", []*event.Row{act(1, event.Open, 1), act(2, event.MmapExec, 2), act(3, event.Exec, 2, tid(5), func(r *event.Row) { r.OTID = 7 })}, 0},
		{"before exec", []*event.Row{act(1, event.Open, 1), act(2, event.Open, 2), act(3, event.Exec, 3)}, 1},
		{"of another thread", []*event.Row{act(1, event.Open, 1), act(2, event.Open, 2, tid(6)), act(3, event.Open, 1)}, 0},
		{"child keeps it", []*event.Row{act(1, event.Fork, 1, child), act(2, event.Open, 1, asChild)}, 0},
		{"child has another", []*event.Row{act(1, event.Fork, 1, child), act(2, event.Open, 2, asChild)}, 1},
		{"child in a user namespace", []*event.Row{act(1, event.Fork, 1, child, func(r *event.Row) { r.N1 = cloneNewUser }), act(2, event.Open, 2, asChild)}, 0},
		{"number used again", []*event.Row{act(1, event.Open, 1), act(2, event.Open, 2, func(r *event.Row) { r.PStart = 51 })}, 0},
		{"thread number used again", []*event.Row{act(1, event.Open, 1), act(2, event.Exit, 1, flag(event.FlagThread)), act(3, event.Open, 2)}, 0},
		{"overridden", []*event.Row{act(1, event.Open, 1), act(2, event.InodeUnlink, 2, flag(event.FlagOverride)), act(3, event.Open, 1)}, 0},
		{"of the owner of a socket", []*event.Row{act(1, event.Open, 1), act(2, event.ConnClose, 2, flag(event.FlagOwnerSock)), act(3, event.Open, 1)}, 0},
		{"told later", []*event.Row{act(1, event.Open, 1), act(2, event.IO, 2), act(3, event.Open, 1)}, 0},
		{"found", []*event.Row{act(1, event.Open, 1), act(2, event.Process, 2, flag(event.FlagSnapshot)), act(3, event.Open, 1)}, 0},
		{"not known", []*event.Row{act(1, event.Open, 1), act(2, event.Open, 0), act(3, event.Open, 1)}, 0},
		{"just before the end", []*event.Row{act(1, event.Open, 1), act(2, event.Exit, 2)}, 1},
		{"number used again after a change", []*event.Row{act(1, event.Open, 1), act(2, event.Exit, 2), act(3, event.Fork, 1, tid(5), func(r *event.Row) { r.OTID, r.OPID, r.OStart = 7, 7, 70 }),
			act(4, event.Exec, 2, func(r *event.Row) { r.PID, r.PStart = 7, 70 })}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var w creds
			for _, r := range c.rows {
				w.see(r)
			}
			if early := w.take(5); len(early) > 0 && c.want == 0 {
				t.Errorf("%d rows at once, though a call may still be told", len(early))
			} else if got := append(early, w.take(second+5)...); len(got) != c.want {
				t.Errorf("%d rows, want %d: %+v", len(got), c.want, got)
			}
			if late := w.take(10 * second); len(late) != 0 {
				t.Errorf("%d rows again", len(late))
			}
		})
	}
}

func TestCredentialsWithoutCallRow(t *testing.T) {
	var lost uint64
	w := creds{missing: func() uint64 { return lost }, blind: "32-bit calls"}
	w.see(act(100, event.Open, 1))
	w.take(150)
	w.see(act(200, event.Unlink, 2))
	if n := len(w.take(200 + second - 1)); n != 0 {
		t.Fatalf("%d rows before a call could be told", n)
	}
	got := w.take(200 + second)
	if len(got) != 1 {
		t.Fatalf("%d rows, want 1", len(got))
	}
	r := got[0]
	if r.TS != 200 || r.T0 != 100 || r.Type != event.CredChange || r.Flags != event.FlagRecorder || r.TID != 7 || r.PID != 5 || r.PStart != 50 ||
		r.Image != 2 || r.Cred != 2 || r.N1 != 1 || r.N2 != 4294967295 || r.Cgroup != 9 || string(r.Comm) != "c" {
		t.Errorf("row %+v", r)
	}
	if s := string(r.Text2); s != "seen first on unlink; not watched, so they may have made it: 32-bit calls" {
		t.Errorf("detail %q", s)
	}
	// With a loss in between, the row says so.
	w.see(act(300+second, event.Open, 2))
	lost = 3
	w.take(400 + second)
	w.see(act(500+second, event.Open, 1))
	got = w.take(500 + 2*second)
	if len(got) != 1 || !strings.Contains(string(got[0].Text2), "records were lost") {
		t.Errorf("rows %+v", got)
	}
	// A loss before the thread was last seen is none of its business.
	w.see(act(600+2*second, event.Open, 1))
	w.see(act(700+2*second, event.Open, 2))
	got = w.take(700 + 3*second)
	if len(got) != 1 || strings.Contains(string(got[0].Text2), "records were lost") {
		t.Errorf("rows %+v", got)
	}
}

func TestCredentialsForgetQuietThreads(t *testing.T) {
	var w creds
	for i := range uint32(5 * maxThreads) {
		r := act(1, event.Open, 1)
		r.TID = i
		w.see(r)
	}
	if n := len(w.threads[0]) + len(w.threads[1]); n > 2*maxThreads {
		t.Errorf("%d threads are held, want at most %d", n, 2*maxThreads)
	}
}

func BenchmarkCredentials(b *testing.B) {
	for _, n := range []uint32{1, 100, 10000} {
		b.Run(map[uint32]string{1: "one thread", 100: "100 threads", 10000: "10000 threads"}[n], func(b *testing.B) {
			var w creds
			r := act(1, event.Open, 1)
			for i := 0; b.Loop(); i++ {
				r.TS++
				r.TID = uint32(i) % n
				w.see(r)
			}
		})
	}
}
