package state

import (
	"path"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/replay/index"
	"hindcast/replay/load"
)

// FileID numbers an object in its table.
type FileID int32

// ObjectKey is the identity of a file system object.
type ObjectKey struct {
	Dev uint32
	Ino uint64
	Gen uint32
}

// Object is a file, directory, device or pipe, under whatever names it had.
type Object struct {
	ObjectKey
	// Keyed is false for an object that was only ever named by a program: its identity is
	// not known. When the name turns out to belong to an object, Alias is that one.
	Keyed bool
	Alias FileID
	// Again counts objects that had this key before: the file system used it again.
	Again uint32
	prev  FileID

	Mode      uint32
	First     clock.Boot
	Last      clock.Boot
	Used      bool // a live row read, wrote, ran or mapped it
	Created   bool
	CreatedAt clock.Boot
	Deleted   bool
	DeletedAt clock.Boot
	Witnessed bool // the file system itself reported the removal
	Dir       bool
	SymlinkTo index.Name
	Names     []NameSpan
}

// NameSpan is a name an object had.
type NameSpan struct {
	Name    index.Name
	From    clock.Boot
	To      clock.Boot // index.Forever: not seen to end
	Claimed bool
}

// File types of st_mode.
const (
	modeType = 0xf000
	modeFIFO = 0x1000
	modeChar = 0x2000
	modeDir  = 0x4000
	modeSock = 0xc000
)

// Pipe reports whether the object is a pipe or FIFO.
func (o *Object) Pipe() bool { return o.Mode&modeType == modeFIFO }

// Device reports whether the object is a character device.
func (o *Object) Device() bool { return o.Mode&modeType == modeChar }

// Anonymous reports whether the object is one of the kernel's shared nameless inodes
// (epoll, eventfd and the like): its mode has no type.
func (o *Object) Anonymous() bool { return o.Mode != 0 && o.Mode&modeType == 0 }

// NameAt returns the name at t: the newest that began by then, else the first.
func (o *Object) NameAt(t clock.Boot) index.Name {
	var n index.Name
	for i, s := range o.Names {
		if i == 0 || s.From <= t {
			n = s.Name
		}
	}
	return n
}

// LastName returns the newest name, 0 for none.
func (o *Object) LastName() index.Name {
	if len(o.Names) == 0 {
		return 0
	}
	return o.Names[len(o.Names)-1].Name
}

type pendingUnlink struct {
	object FileID
	at     clock.Boot
	nlink  int64
	base   string
}

func clean(p string) string {
	if p == "" {
		return ""
	}
	return path.Clean(p)
}

// Real follows aliases of objects that were first only named.
func (t *Table) Real(f FileID) FileID {
	for i := 0; f != None && t.Files[f].Alias != None && i < 64; i++ {
		f = t.Files[f].Alias
	}
	return f
}

// object returns the incarnation of the key that lived at that instant.
func (t *Table) object(k ObjectKey, mode uint32, at clock.Boot) FileID {
	f, ok := t.files[k]
	if !ok {
		return t.newObject(k, mode, at)
	}
	for t.Files[f].Created && at < t.Files[f].CreatedAt && t.Files[f].prev != None {
		f = t.Files[f].prev
	}
	o := &t.Files[f]
	if o.Mode == 0 {
		o.Mode = mode
	}
	o.First, o.Last = min(o.First, at), max(o.Last, at)
	return f
}

func (t *Table) newObject(k ObjectKey, mode uint32, at clock.Boot) FileID {
	f := FileID(len(t.Files))
	o := Object{ObjectKey: k, Keyed: true, Alias: None, prev: None, Mode: mode, First: at, Last: at, Dir: mode&modeType == modeDir}
	if old, ok := t.files[k]; ok {
		o.prev, o.Again = old, t.Files[old].Again+1
	}
	t.Files = append(t.Files, o)
	t.files[k] = f
	return f
}

// fresh returns the object of a row that made it: another one when its key was used before.
func (t *Table) fresh(r *event.Row) FileID {
	k := ObjectKey{r.Dev, r.Ino, r.Gen}
	if old, ok := t.files[k]; ok {
		o := &t.Files[old]
		if o.First < r.TS {
			if !o.Deleted {
				o.Deleted, o.DeletedAt = true, r.TS
			}
			return t.newObject(k, r.Mode, r.TS)
		}
	}
	return t.object(k, r.Mode, r.TS)
}

func (t *Table) namedOnly(at clock.Boot) FileID {
	f := FileID(len(t.Files))
	t.Files = append(t.Files, Object{Alias: None, prev: None, First: at, Last: at})
	return f
}

// bind notes that an object has a name. A claimed name is one a program passed.
func (t *Table) bind(name string, f FileID, at clock.Boot, claimed bool) index.Name {
	if name == "" {
		return 0
	}
	known, tries := false, 0
	var ghost index.Span[string, FileID]
	haveGhost := false
	t.bound.Before(name, at, func(s index.Span[string, FileID]) bool {
		if at < s.To {
			if t.Real(s.Value) == f {
				known = true
				return false
			}
			if o := &t.Files[s.Value]; !o.Keyed && o.Alias == None && !o.Dir && o.SymlinkTo == 0 && !haveGhost {
				ghost, haveGhost = s, true
			}
		}
		tries++
		return tries < 64
	})
	id := t.Names.IDString(name)
	if known {
		return id
	}
	if haveGhost && t.Files[f].Keyed && !claimed && !(t.Files[f].Created && t.Files[f].CreatedAt == at) {
		t.Files[ghost.Value].Alias = f
		t.Files[f].First = min(t.Files[f].First, t.Files[ghost.Value].First)
	}
	t.bound.Add(t.Names.String(id), at, index.Forever, f)
	t.Files[f].Names = append(t.Files[f].Names, NameSpan{id, at, index.Forever, claimed})
	return id
}

// unbind ends a name at an instant: for one object, or with None for all on the device of
// like (all of them when that is not known).
func (t *Table) unbind(name string, f FileID, like FileID, at clock.Boot) {
	var ends []index.Span[string, FileID]
	t.bound.Before(name, at, func(s index.Span[string, FileID]) bool {
		if at < s.To && len(ends) < 64 {
			r := t.Real(s.Value)
			same := f != None && r == f
			if f == None && r != like {
				same = like == None || !t.Files[r].Keyed || !t.Files[like].Keyed || t.Files[r].Dev == t.Files[like].Dev
			}
			if same {
				ends = append(ends, s)
			}
		}
		return true
	})
	for _, s := range ends {
		s.To = at
		t.bound.Replace(s)
		for _, o := range []FileID{s.Value, t.Real(s.Value)} {
			names := t.Files[o].Names
			for i := range names {
				if names[i].To == index.Forever && names[i].From == s.From && t.Names.String(names[i].Name) == name {
					names[i].To = at
				}
			}
		}
	}
}

// names reports whether the object still has a name.
func (o *Object) named(at clock.Boot) bool {
	for _, n := range o.Names {
		if at < n.To {
			return true
		}
	}
	return false
}

// byName returns the object that a claimed name meant at an instant. several: others had
// the name as well. An unknown name becomes an object of its own that is only named.
func (t *Table) byName(name string, at clock.Boot, follow bool) (f FileID, several bool) {
	for range 8 {
		f = None
		n, tries := 0, 0
		t.bound.Before(name, at, func(s index.Span[string, FileID]) bool {
			if at < s.To {
				if r := t.Real(s.Value); f == None {
					f = r
					n++
				} else if r != f {
					n++
					if t.Files[r].Last > t.Files[f].Last {
						f = r
					}
				}
			}
			tries++
			return tries < 64
		})
		if f == None {
			f = t.namedOnly(at)
			t.bind(name, f, at, true)
			return f, false
		}
		several = n > 1
		to := t.Files[f].SymlinkTo
		if !follow || to == 0 {
			return f, several
		}
		next := t.Names.String(to)
		if next[0] != '/' {
			next = path.Dir(name) + "/" + next
		}
		name = clean(next)
	}
	return f, several
}

// Named returns the objects that ever had the path, in the order in which they got it.
func (t *Table) Named(name string) []FileID {
	var out []FileID
	seen := map[FileID]bool{}
	t.bound.Each(name, func(s index.Span[string, FileID]) bool {
		if f := t.Real(s.Value); !seen[f] {
			seen[f] = true
			out = append(out, f)
		}
		return true
	})
	return out
}

// NamedAt returns the object that had the path at an instant, None when none is known.
func (t *Table) NamedAt(name string, at clock.Boot) FileID {
	s, ok := t.bound.At(name, at)
	if !ok {
		return None
	}
	return t.Real(s.Value)
}

// seeObject resolves a row that carries an object's identity and, mostly, its name as the
// kernel walked it.
func (t *Table) seeObject(r *event.Row, id load.RowID, s *Seen) {
	if r.Mode&modeType == modeSock {
		if r.Type == event.File && r.Cookie != 0 {
			s.Sock = t.holdSocket(r, id, s.Actor)
		}
		return
	}
	if r.Flags&event.FlagFailed != 0 || r.Ino == 0 && r.Dev == 0 {
		return
	}
	k := ObjectKey{r.Dev, r.Ino, r.Gen}
	at := r.TS
	if r.Type == event.IO && r.T0 != 0 {
		at = r.T0
	}
	created := r.Type == event.Open && r.N1 == 1
	if created {
		if old, ok := t.files[k]; ok {
			o := &t.Files[old]
			if o.Deleted || o.Created && o.CreatedAt < r.TS || o.Used {
				if !o.Deleted {
					o.Deleted, o.DeletedAt = true, r.TS
				}
				t.newObject(k, r.Mode, r.TS)
			}
		}
	}
	f := t.object(k, r.Mode, at)
	o := &t.Files[f]
	if created {
		o.Created, o.CreatedAt = true, r.TS
	}
	switch r.Type {
	case event.FirstRead, event.FirstWrite, event.IO, event.Exec, event.MmapExec, event.MmapWrite, event.Dirty:
		o.Used = true
	}
	s.Object = f
	if r.Type == event.Dirty { // a name within its file system, not a path
		return
	}
	if len(r.Path) == 0 || r.Mode&modeType == modeFIFO && r.Path[0] != '/' {
		return
	}
	if n := len(o.Names); !created && n > 0 && o.Names[n-1].To == index.Forever && t.Names.String(o.Names[n-1].Name) == string(r.Path) {
		s.Path = o.Names[n-1].Name // mostly: the name it had
		return
	}
	name := t.Names.String(t.Names.ID(r.Path))
	if created {
		t.unbind(name, None, f, r.TS)
	}
	s.Path = t.bind(name, f, r.TS, false)
}

const (
	renameExchange = 2
	mostMoved      = 4096 // names that move along with their directory
)

// nameCall resolves the calls that give names instead of objects.
func (t *Table) nameCall(r *event.Row, id load.RowID, s *Seen) {
	p, p2 := clean(string(r.Path)), clean(string(r.Path2))
	s.Path, s.Path2 = t.Names.IDString(p), t.Names.IDString(p2)
	if r.Flags&event.FlagFailed != 0 || r.Type == event.OpenFailed || r.Type == event.ExecFailed {
		return
	}
	at := r.TS
	switch r.Type {
	case event.Chmod, event.Chown, event.Truncate, event.Attr:
		if r.Ino != 0 || r.Dev != 0 {
			s.Object = t.object(ObjectKey{r.Dev, r.Ino, r.Gen}, r.Mode, at)
			if p != "" {
				t.bind(p, s.Object, at, true)
			}
			return
		}
		if p != "" {
			s.Object, s.Several = t.byName(p, at, true)
			s.ByName = true
		}
	case event.Mkdir, event.Symlink:
		name := p
		if r.Type == event.Symlink {
			name = p2
			s.Path, s.Path2 = s.Path2, 0
		}
		if name == "" {
			return
		}
		t.unbind(name, None, None, at)
		var f FileID
		if r.Ino != 0 {
			f = t.fresh(r)
		} else {
			f = t.namedOnly(at)
		}
		o := &t.Files[f]
		o.Created, o.CreatedAt, o.Dir = true, at, r.Type == event.Mkdir && (r.Mode&modeType == modeDir || r.Mode&modeType == 0)
		if r.Type == event.Symlink {
			o.SymlinkTo = t.Names.ID(r.Text)
		}
		t.bind(name, f, at, r.Ino == 0)
		s.Object, s.ByName = f, r.Ino == 0
	case event.Link:
		if p == "" || p2 == "" {
			return
		}
		if r.Ino != 0 {
			s.Object = t.object(ObjectKey{r.Dev, r.Ino, r.Gen}, r.Mode, at)
		} else {
			s.Object, s.Several = t.byName(p, at, false)
			s.ByName = true
		}
		t.bind(p2, s.Object, at, true)
	case event.Rename:
		t.rename(r, p, p2, s)
	case event.InodeUnlink:
		if r.Ino == 0 {
			return
		}
		f := t.object(ObjectKey{r.Dev, r.Ino, r.Gen}, r.Mode, at)
		s.Object = f
		if r.N1 == 1 {
			o := &t.Files[f]
			o.Deleted, o.DeletedAt, o.Witnessed = true, at, true
		}
		s.Path = 0 // a name within its file system, not a path
		t.witness[r.TID] = pendingUnlink{f, at, r.N1, path.Base(p)}
	case event.Unlink:
		t.unlink(r, p, s)
	}
}

// witnessed takes the object that the file system said lost the name base just before.
func (t *Table) witnessed(tid uint32, base string) (pendingUnlink, bool) {
	w, ok := t.witness[tid]
	if !ok {
		return w, false
	}
	delete(t.witness, tid)
	return w, w.base == "." || w.base == base || base == "."
}

func (t *Table) unlink(r *event.Row, p string, s *Seen) {
	at := r.TS
	w, ok := t.witnessed(r.TID, path.Base(p))
	if r.Ino != 0 { // the row itself names the object
		w, ok = pendingUnlink{t.object(ObjectKey{r.Dev, r.Ino, r.Gen}, r.Mode, at), at, r.N1 + 1, path.Base(p)}, true
	}
	if p == "" {
		return
	}
	var gone bool
	if ok {
		s.Object = w.object
		if len(t.Files[w.object].Names) == 0 { // never seen by name: it had this one since we know not when
			id := t.Names.IDString(p)
			from := min(t.Begin, t.Files[w.object].First)
			t.bound.Add(t.Names.String(id), from, at, w.object)
			t.Files[w.object].Names = append(t.Files[w.object].Names, NameSpan{id, from, at, true})
		}
		gone = w.nlink <= 1
	} else {
		s.Object, s.Several = t.byName(p, at, false)
		s.ByName = true
	}
	t.unbind(p, s.Object, None, at)
	o := &t.Files[s.Object]
	if !ok {
		gone = !o.named(at)
	}
	if gone && !o.Deleted {
		o.Deleted, o.DeletedAt = true, at
	}
}

func (t *Table) rename(r *event.Row, p, p2 string, s *Seen) {
	at := r.TS
	w, replaced := t.witnessed(r.TID, path.Base(p2))
	if p == "" || p2 == "" || p == p2 {
		return
	}
	if r.Ino != 0 {
		s.Object = t.object(ObjectKey{r.Dev, r.Ino, r.Gen}, r.Mode, at)
		t.bind(p, s.Object, at, false)
	} else {
		s.ByName = true
		s.Object, s.Several = t.byName(p, at, false)
	}
	if r.Op&renameExchange != 0 {
		s.Second, _ = t.byName(p2, at, false)
		t.unbind(p, s.Object, None, at)
		t.unbind(p2, s.Second, None, at)
		t.bind(p, s.Second, at, true)
		t.bind(p2, s.Object, at, true)
		return
	}
	if r.Ino2 != 0 {
		s.Second = t.object(ObjectKey{r.Dev2, r.Ino2, r.Gen2}, 0, at)
	} else if replaced {
		s.Second = w.object
	} else if r.Ino != 0 {
		// the kernel's row would have named it: nothing was replaced
	} else if x, ok := t.bound.At(p2, at); ok {
		s.Second = t.Real(x.Value)
	}
	if s.Second == s.Object {
		s.Second = None
	}
	if s.Second != None {
		t.unbind(p2, s.Second, None, at)
		if o := &t.Files[s.Second]; !o.Deleted && !o.named(at) {
			o.Deleted, o.DeletedAt = true, at
		}
	}
	t.unbind(p2, None, s.Object, at)
	t.unbind(p, s.Object, None, at)
	t.bind(p2, s.Object, at, true)
	t.moveBelow(p, p2, at)
}

// moveBelow renames what lies under a directory that was renamed.
func (t *Table) moveBelow(p, p2 string, at clock.Boot) {
	var moved []index.Span[string, FileID]
	t.bound.Range(p+"/", p+"0", func(s index.Span[string, FileID]) bool { // '0' follows '/'
		if s.From <= at && at < s.To {
			moved = append(moved, s)
		}
		return len(moved) < mostMoved
	})
	for _, s := range moved {
		f := t.Real(s.Value)
		t.unbind(s.Key, f, None, at)
		t.bind(p2+s.Key[len(p):], f, at, true)
	}
}
