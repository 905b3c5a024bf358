package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/format/store"
	"hindcast/format/testkit"
)

const boot0 = clock.Boot(3_600_000_000_000)

var meta = segment.Meta{Host: "box", MachineID: "5d41402a", BootID: "3f9c12ab-0000-4000-8000-000000000001", Recorder: "test",
	Clock: clock.Pair{Boot: boot0, Wall: 1_795_000_000_000_000_000}}

// rows makes n clock rows whose N1 counts from first: easy to tell apart.
func rows(first, n int) *event.Columns {
	var c event.Columns
	for i := range n {
		c.Append(&event.Row{Type: event.Clock, TS: boot0 + clock.Boot(first+i), N1: int64(first + i)})
	}
	c.Finish()
	return &c
}

// numbers reads the N1 of every clock row of a store, in the order of segments.
func numbers(t *testing.T, fsys store.FS) (out []int64) {
	t.Helper()
	d, err := store.OpenFS(fsys)
	if err != nil {
		t.Fatal(err)
	}
	for i := range d.Entries {
		s, f, err := d.Open(i)
		if err != nil {
			t.Fatal(err)
		}
		var c event.Columns
		for j := range s.Batches() {
			if err := s.Read(j, 0, &c); err != nil {
				t.Fatalf("%s batch %d: %v", d.Entries[i].Path, j, err)
			}
			for k, typ := range c.Type {
				if typ == event.Clock {
					out = append(out, c.N1[k])
				}
			}
		}
		f.Close()
	}
	return out
}

func options(fsys store.FS) store.Options {
	return store.Options{Meta: meta, FS: fsys, SegmentBytes: 25 << 10, Begin: func(add func(*event.Row)) error {
		add(&event.Row{Type: event.Coverage, TS: boot0, Text: []byte("hook"), N1: 1})
		return nil
	}}
}

// session is a recording of up to 12 batches. It returns how many rows were acknowledged
// and how many were durable when it stopped, and how many Append said were lost.
func session(fsys store.FS, first int) (written, acked, durable, lost int, err error) {
	s, err := store.Create("", options(fsys))
	if err != nil {
		return 0, 0, 0, 0, err
	}
	for i := range 12 {
		n := 10 + i
		written += n
		if err = s.Append(rows(first+written-n, n)); err == nil {
			acked = written
		} else if le := (*store.LostError)(nil); errors.As(err, &le) {
			lost += le.Rows
		}
		if errors.Is(err, testkit.ErrCrashed) {
			break
		}
		if i%3 == 2 {
			if err = s.Sync(); err == nil {
				durable = acked
			} else if le := (*store.LostError)(nil); errors.As(err, &le) {
				lost += le.Rows
			}
			if errors.Is(err, testkit.ErrCrashed) {
				break
			}
		}
	}
	if e := s.Close(); err == nil {
		err = e
	}
	if err == nil {
		durable = acked
	}
	return written, acked, durable, lost, err
}

// counted checks that got is 0, 1, 2 ... and at least least, at most most long.
func counted(t *testing.T, what string, got []int64, least, most int) {
	t.Helper()
	if len(got) < least || len(got) > most {
		t.Fatalf("%s: %d rows, want %d to %d", what, len(got), least, most)
	}
	for i, v := range got {
		if v != int64(i) {
			t.Fatalf("%s: row %d is %d", what, i, v)
		}
	}
}

// TestKilledAnywhere ends the process, then the machine, at every operation of a session,
// and once more at every operation of the recovery. What Append acknowledged survives the
// process; what Sync or Close acknowledged survives the machine; the store opens, verifies
// and goes on.
func TestKilledAnywhere(t *testing.T) {
	for n := 1; ; n++ {
		m := testkit.NewMemFS()
		m.CrashAt = n
		written, acked, durable, _, err := session(m, 0)
		if err == nil {
			if n < 40 {
				t.Fatalf("a session has only %d operations", n)
			}
			break
		}
		for _, x := range []struct {
			name        string
			power, torn bool
			least       int
		}{{"kill", false, false, acked}, {"power", true, false, durable}, {"power, torn", true, true, durable}} {
			what := fmt.Sprintf("operation %d (%s), %s", n, m.Log[n-1], x.name)
			left := m.After(x.power, x.torn)
			counted(t, what+", read as it is", numbers(t, left), x.least, written)
			recoverAt := 0
			if n%5 == 0 || strings.Contains("rename remove chmod syncdir", m.Log[n-1]) {
				recoverAt = 1
			}
			for k := recoverAt; ; k++ {
				fsys := m.After(x.power, x.torn)
				fsys.CrashAt = k
				s, err := store.Create("", options(fsys))
				if k > 0 && err != nil {
					fsys = fsys.After(x.power, x.torn)
					s, err = store.Create("", options(fsys))
				}
				if err != nil {
					t.Fatalf("%s, recovery killed at %d: %v", what, k, err)
				}
				recovered := numbers(t, fsys)
				counted(t, what+", recovered", recovered, x.least, written)
				crashed := fsys.CrashAt > 0 && fsys.Ops >= fsys.CrashAt
				fsys.CrashAt = 0
				if !crashed {
					next := len(recovered)
					if err := s.Append(rows(next, 5)); err != nil {
						t.Fatalf("%s: append after recovery: %v", what, err)
					}
					if err := s.Close(); err != nil {
						t.Fatalf("%s: close after recovery: %v", what, err)
					}
					counted(t, what+", continued", numbers(t, fsys), next+5, next+5)
					sound(t, what, fsys)
				}
				if k == 0 || !crashed {
					break
				}
			}
		}
	}
}

// sound checks that a closed store verifies: nothing open, nothing but recovered findings,
// no leftovers of any kind, sealed files read only.
func sound(t *testing.T, what string, fsys *testkit.MemFS) {
	t.Helper()
	d, err := store.OpenFS(fsys)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := d.Verify()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range rep.Findings {
		if !f.Recovered {
			t.Fatalf("%s: finding %+v in %v", what, f, fsys.Names())
		}
	}
	if rep.Broken != "" {
		t.Fatalf("%s: chain broken: %s", what, rep.Broken)
	}
	for _, name := range fsys.Names() {
		if strings.HasPrefix(name, "damaged/") {
			continue
		}
		if strings.HasSuffix(name, ".open") || strings.HasSuffix(name, ".mend") {
			t.Fatalf("%s: %s is left", what, name)
		}
		if strings.HasSuffix(name, segment.Ext) && fsys.Mode(name) != 0o440 {
			t.Fatalf("%s: %s has mode %o", what, name, fsys.Mode(name))
		}
	}
}

// TestNthFailure lets every operation of a session fail, once and from then on. The rows in
// the store and the rows said to be lost are together all rows, and nothing is there twice.
func TestNthFailure(t *testing.T) {
	for _, many := range []bool{false, true} {
		for n := 1; ; n++ {
			m := testkit.NewMemFS()
			m.FailAt, m.FailErr, m.FailMany = n, syscall.ENOSPC, many
			written, _, _, lost, err := session(m, 0)
			if m.Ops < n {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			what := fmt.Sprintf("operation %d (%s) fails, many %v", n, m.Log[n-1], many)
			if written == 0 {
				continue // the store could not be made
			}
			m.FailAt, m.FailMany = 0, false
			s, err := store.Create("", options(m))
			if err != nil {
				t.Fatalf("%s: open again: %v", what, err)
			}
			if err := s.Close(); err != nil {
				t.Fatalf("%s: close: %v", what, err)
			}
			got := numbers(t, m)
			for i := 1; i < len(got); i++ {
				if got[i] <= got[i-1] {
					t.Fatalf("%s: row %d after row %d", what, got[i], got[i-1])
				}
			}
			// A sync that fails for good leaves rows in doubt: counted as lost, and there.
			doubt := many && (m.Log[n-1] == "sync" || m.Log[n-1] == "truncate")
			if len(got)+lost != written && !(doubt && len(got) <= written && len(got)+lost > written) {
				t.Fatalf("%s: %d rows in the store and %d lost of %d", what, len(got), lost, written)
			}
		}
	}
}

func real(t *testing.T) string { return filepath.Join(t.TempDir(), "store") }

// TestRealStore records into a folder of the real file system and looks at what is there.
func TestRealStore(t *testing.T) {
	dir := real(t)
	o := options(nil)
	s, err := store.Create(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	o.LockWait = -1
	if _, err := store.Create(dir, o); runtime.GOOS == "linux" && !errors.Is(err, store.ErrLocked) {
		t.Errorf("second writer: %v", err)
	}
	if _, err := store.Repair(dir); runtime.GOOS == "linux" && !errors.Is(err, store.ErrLocked) {
		t.Errorf("repair of a store being written: %v", err)
	}
	total := 0
	for i := range 300 {
		if err := s.Append(rows(total, 20)); err != nil {
			t.Fatal(err)
		}
		total += 20
		if i%50 == 0 {
			if err := s.Sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A store can be read while it is written.
	rep, err := store.Verify(dir)
	if err != nil || !rep.OK() || rep.Rows != uint64(total+len(rep.Segments)) {
		t.Errorf("verify while open: %d rows, %v, %v", rep.Rows, rep.Findings, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(rows(0, 1)); !errors.Is(err, store.ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	if rep, err = store.Verify(dir); err != nil || len(rep.Findings) != 0 || len(rep.Segments) < 3 || rep.Broken != "" {
		t.Fatalf("verify: %+v, %v", rep, err)
	}
	list, err := store.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range list {
		if e.Open || e.Name.Number != uint64(i+1) || e.Name.Boot != "3f9c12ab" {
			t.Errorf("entry %+v", e)
		}
		st, err := os.Stat(filepath.Join(dir, e.Path))
		if err != nil || st.Mode().Perm() != 0o440 {
			t.Errorf("%s: %v, %v", e.Path, st.Mode(), err)
		}
		if i == 0 {
			b, _ := os.ReadFile(filepath.Join(dir, e.Path))
			seg, err := segment.Open(bytes.NewReader(b), int64(len(b)))
			if err != nil || segment.NameOf(seg.Batches()[0].Min.Wall(seg.Meta().Clock.Offset()), &meta).Second != e.Name.Second {
				t.Errorf("name %s", e.Name)
			}
		}
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", st.Mode(), err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "FORMAT")); err != nil || string(b) != "hindcast 1\n" {
		t.Errorf("FORMAT is %q, %v", b, err)
	}
	// A writer that comes later goes on with the numbers and the chain.
	if s, err = store.Create(dir, o); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(rows(total, 20)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if rep, err = store.Verify(dir); err != nil || len(rep.Findings) != 0 {
		t.Fatalf("verify after a second session: %v, %v", rep.Findings, err)
	}
}

// TestVerifyNames removes a segment, swaps in a forged one and flips a byte: verify names
// the first broken link.
func TestVerifyNames(t *testing.T) {
	for _, x := range []struct {
		name   string
		damage func(dir string, list []store.Entry) error
		class  segment.Class
		broken bool
	}{
		{"removed", func(dir string, l []store.Entry) error { return os.Remove(filepath.Join(dir, l[1].Path)) }, segment.Missing, true},
		{"copied over", func(dir string, l []store.Entry) error {
			b, err := os.ReadFile(filepath.Join(dir, l[0].Path))
			if err != nil {
				return err
			}
			os.Remove(filepath.Join(dir, l[1].Path))
			return os.WriteFile(filepath.Join(dir, l[1].Path), b, 0o440)
		}, segment.BadStore, true},
		{"flipped", func(dir string, l []store.Entry) error {
			p := filepath.Join(dir, l[1].Path)
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			b[len(b)/3] ^= 0x10
			os.Remove(p)
			return os.WriteFile(p, b, 0o440)
		}, segment.BadDigest, false},
		{"version", func(dir string, l []store.Entry) error {
			return os.WriteFile(filepath.Join(dir, "FORMAT"), []byte("hindcast 9\n"), 0o600)
		}, segment.BadStore, false},
		{"linked", func(dir string, l []store.Entry) error {
			p := filepath.Join(dir, l[1].Path)
			if err := os.Rename(p, p+".real"); err != nil {
				return err
			}
			return os.Symlink(filepath.Base(p)+".real", p)
		}, segment.Unreadable, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			dir := real(t)
			s, err := store.Create(dir, options(nil))
			if err != nil {
				t.Fatal(err)
			}
			for i := range 100 {
				if err := s.Append(rows(i*20, 20)); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			list, err := store.List(dir)
			if err != nil || len(list) < 3 {
				t.Fatal(len(list), err)
			}
			if err := x.damage(dir, list); err != nil {
				t.Fatal(err)
			}
			rep, err := store.Verify(dir)
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, f := range rep.Findings {
				found = found || f.Class == x.class
			}
			if !found || rep.OK() || (rep.Broken != "") != x.broken {
				t.Errorf("findings %v, broken %q", rep.Findings, rep.Broken)
			}
		})
	}
}

// TestRepair mends a store whose writer was killed in the middle of a batch.
func TestRepair(t *testing.T) {
	dir := real(t)
	s, err := store.Create(dir, options(nil))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		if err := s.Append(rows(i*20, 20)); err != nil {
			t.Fatal(err)
		}
	}
	// As a kill leaves it: copy the folder without closing, the last batch cut.
	copied := real(t)
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	list, err := store.List(copied)
	if err != nil {
		t.Fatal(err)
	}
	open := list[len(list)-1]
	if !open.Open {
		t.Fatalf("no open segment in %v", list)
	}
	p := filepath.Join(copied, open.Path)
	st, err := os.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(p, st.Size()-100); err != nil {
		t.Fatal(err)
	}
	before, err := store.Verify(copied)
	if err != nil || before.OK() {
		t.Fatalf("before: %v, %v", before.Findings, err)
	}
	rep, err := store.Repair(copied)
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Mended) != 1 || rep.Mended[0].Action != store.ActionSealed || len(rep.Mended[0].Damaged) != 1 || rep.Rows != before.Rows {
		t.Fatalf("mended %+v, %d rows of %d", rep.Mended, rep.Rows, before.Rows)
	}
	if len(rep.Findings) != 1 || rep.Findings[0].Class != segment.TornTail || !rep.Findings[0].Recovered || rep.Findings[0].Rows != 20 {
		t.Errorf("findings %+v", rep.Findings)
	}
	if _, err := os.Stat(filepath.Join(copied, rep.Mended[0].Damaged[0])); err != nil {
		t.Error(err)
	}
	if again, err := store.Repair(copied); err != nil || len(again.Mended) != 0 {
		t.Errorf("second repair: %+v, %v", again.Mended, err)
	}
}

// TestLeftovers puts odd files where a leftover would be.
func TestLeftovers(t *testing.T) {
	base := "dt=2026-11-18/20261118T110640Z-3f9c12ab-00000007"
	for _, x := range []struct {
		name   string
		bytes  []byte
		action string
		gone   bool
	}{
		{"empty", nil, store.ActionRemoved, true},
		{"junk", []byte("certainly not a segment, but quite long enough to be one"), store.ActionAside, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			m := testkit.NewMemFS()
			m.Put("FORMAT", []byte("hindcast 1\n"))
			m.Put(base+segment.ExtOpen, x.bytes)
			m.Put(base+segment.ExtIndex, []byte("x"))
			s, err := store.Create("", options(m))
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Mended(); len(got) != 1 || got[0].Action != x.action {
				t.Fatalf("%+v", got)
			}
			if err := s.Append(rows(0, 1)); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			d, err := store.OpenFS(m)
			if err != nil || len(d.Entries) != 1 {
				t.Fatal(d.Entries, err)
			}
			if want := map[bool]uint64{true: 1, false: 8}[x.name == "empty"]; d.Entries[0].Name.Number != want {
				t.Errorf("number %d, want %d", d.Entries[0].Name.Number, want)
			}
			if m.Data(base+segment.ExtIndex) != nil || m.Data(base+segment.ExtOpen) != nil {
				t.Errorf("left: %v", m.Names())
			}
		})
	}
}

func TestCreateRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "letters.txt"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Create(dir, options(nil)); !errors.Is(err, store.ErrNotAStore) {
		t.Errorf("a folder of other things: %v", err)
	}
	newer := filepath.Join(t.TempDir(), "newer")
	if err := os.Mkdir(newer, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(newer, "FORMAT"), []byte("hindcast 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Create(newer, options(nil)); !errors.Is(err, store.ErrVersion) {
		t.Errorf("a newer store: %v", err)
	}
	if runtime.GOOS != "windows" {
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(t.TempDir(), link); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Create(link, options(nil)); err == nil {
			t.Error("a link was followed")
		}
		loose := filepath.Join(t.TempDir(), "loose")
		if err := os.Mkdir(loose, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(loose, "FORMAT"), []byte("hindcast 1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(loose, 0o777); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Create(loose, options(nil)); !errors.Is(err, store.ErrWritable) {
			t.Errorf("a folder that all may write: %v", err)
		}
	}
}

// TestRollOver checks the reasons for which a segment is closed.
func TestRollOver(t *testing.T) {
	pair := meta.Clock
	m := testkit.NewMemFS()
	o := options(m)
	o.Clock = func() clock.Pair { return pair }
	o.SegmentAge = time.Second
	s, err := store.Create("", o)
	if err != nil {
		t.Fatal(err)
	}
	step := func(first int, want int) {
		t.Helper()
		if err := s.Append(rows(first, 2)); err != nil {
			t.Fatal(err)
		}
		if got := s.Stats().Segments; got != want {
			t.Fatalf("%d segments, want %d", got, want)
		}
	}
	step(0, 1)
	step(10, 1)
	step(1_000_000_000, 2) // age
	pair.Wall += 900_000_000
	step(1_000_000_010, 2)
	pair.Wall += 200_000_000 // 1.1 s in all
	step(1_000_000_020, 3)
	if err := s.Roll(); err != nil {
		t.Fatal(err)
	}
	step(1_000_000_030, 4)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	sound(t, "rolled", m)
	d, err := store.OpenFS(m)
	if err != nil {
		t.Fatal(err)
	}
	seg, f, err := d.Open(1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if seg.Flags()&segment.FlagClockStep == 0 {
		t.Error("a clock step left no flag")
	}
}

func TestBeginError(t *testing.T) {
	m := testkit.NewMemFS()
	o := options(m)
	boom := errors.New("boom")
	o.Begin = func(func(*event.Row)) error { return boom }
	s, err := store.Create("", o)
	if err != nil {
		t.Fatal(err)
	}
	be := (*store.BeginError)(nil)
	if err := s.Append(rows(0, 3)); !errors.As(err, &be) || !errors.Is(err, boom) {
		t.Fatalf("append: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	counted(t, "begin failed", numbers(t, m), 3, 3)
}

// TestConcurrentSync appends and syncs from two goroutines.
func TestConcurrentSync(t *testing.T) {
	dir := real(t)
	s, err := store.Create(dir, options(nil))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		for range 200 {
			if err := s.Sync(); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	total := 0
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n := 1 + rnd.IntN(50)
		if err := s.Append(rows(total, n)); err != nil {
			t.Fatal(err)
		}
		total += n
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if rep, err := store.Verify(dir); err != nil || len(rep.Findings) != 0 || rep.Rows != uint64(total+len(rep.Segments)) {
		t.Errorf("%d rows of %d, %v, %v", rep.Rows, total, rep.Findings, err)
	}
}
