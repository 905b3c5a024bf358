package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"hindcast/format/clock"
	"hindcast/format/segment"
	"hindcast/format/store"
	"hindcast/query/lang"
	"hindcast/query/plan"
	"hindcast/replay"
	"hindcast/replay/load"

	"github.com/urfave/cli/v2"
)

// captureFlag lets the capture be named by a flag, as in tcpdump and sysdig.
func captureFlag() cli.Flag {
	return &cli.StringFlag{Name: "read", Aliases: []string{"r"}, Usage: "`CAP` to read, instead of naming it as first argument"}
}

// looksLikeCapture reports whether an argument names a capture rather than anything else:
// by its ending, or because a store is there.
func looksLikeCapture(s string) bool {
	if s == "latest" {
		return true
	}
	for _, ext := range []string{".hind", ".arrows", ".arrows.open"} {
		if strings.HasSuffix(s, ext) {
			return true
		}
	}
	return store.IsStore(s)
}

// splitCapture takes the capture off the positional arguments: the one of -r, else the first
// argument if it looks like one, else the newest.
func splitCapture(c *cli.Context) (path string, rest []string, err error) {
	rest = c.Args().Slice()
	if r := c.String("read"); r != "" {
		path = r
	} else if len(rest) > 0 && looksLikeCapture(rest[0]) {
		path, rest = rest[0], rest[1:]
	}
	return path, rest, nil
}

// resolveCapture turns "" and "latest" into the newest capture.
func resolveCapture(path string, w world) (string, error) {
	if path != "" && path != "latest" {
		if _, err := os.Stat(path); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return "", failed(exitFailed, "E_NOT_FOUND", "no such capture: "+path, "hindcast ls shows what there is")
			}
			return "", err
		}
		return path, nil
	}
	dir := captureDir(w)
	all, err := findCaptures(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", failed(exitFailed, "E_NOT_FOUND", "no capture: "+dir+" does not exist", "name one, or record one with hindcast record")
		}
		return "", err
	}
	if len(all) == 0 {
		return "", failed(exitFailed, "E_NOT_FOUND", "no capture in "+dir, "name one, or record one with hindcast record")
	}
	return all[len(all)-1].path, nil
}

// defaultDir is where record writes and where captures are looked for first, unless
// HINDCAST_DIR says otherwise; systemDir is where a service keeps its own.
const (
	defaultDir = "hindcast-data"
	systemDir  = "/var/lib/hindcast"
)

// captureDir returns the folder whose captures are meant when none is named.
func captureDir(w world) string {
	if d := w.getenv("HINDCAST_DIR"); d != "" {
		return d
	}
	if _, err := os.Stat(defaultDir); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(systemDir); err == nil {
			return systemDir
		}
	}
	return defaultDir
}

// found is a capture on disk.
type found struct {
	path    string
	changed time.Time // newest file in it
	bytes   int64
}

// findCaptures lists the captures of a folder, oldest first: the folder itself if it is one,
// and the stores and bundles directly in it.
func findCaptures(dir string) ([]found, error) {
	es, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []found
	if store.IsStore(dir) {
		if f, ok := measure(dir); ok {
			out = append(out, f)
		}
	}
	for _, e := range es {
		p := filepath.Join(dir, e.Name())
		if e.IsDir() && store.IsStore(p) || e.Type().IsRegular() && strings.HasSuffix(e.Name(), ".hind") {
			if f, ok := measure(p); ok {
				out = append(out, f)
			}
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if !out[i].changed.Equal(out[j].changed) {
			return out[i].changed.Before(out[j].changed)
		}
		return out[i].path < out[j].path
	})
	return out, nil
}

func measure(path string) (found, bool) {
	f := found{path: path}
	err := filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // a file that went away or cannot be read makes the sum smaller, not wrong
		}
		i, err := d.Info()
		if err != nil {
			return nil
		}
		f.bytes += i.Size()
		if i.ModTime().After(f.changed) {
			f.changed = i.ModTime()
		}
		return nil
	})
	return f, err == nil && !f.changed.IsZero()
}

// capture is an opened one with what most commands need of it.
type capture struct {
	*load.Capture
	facts  plan.Facts
	anchor lang.Anchor
	offset clock.Offset
	w      world
	strict bool
	bad    int // findings that were told
}

func openCapture(path string, w world, o *output) (*capture, error) {
	p, err := resolveCapture(path, w)
	if err != nil {
		return nil, err
	}
	l, err := load.Open(p, load.Options{})
	if err != nil {
		if f := segment.AsFinding(err); f != nil {
			return nil, &failure{Code: "E_DAMAGED", Exit: exitDamaged, Msg: "cannot read " + p + ": " + f.Error(), Hint: "hindcast repair keeps what can be proven", At: -1, err: err}
		}
		return nil, err
	}
	i := l.Info()
	c := &capture{Capture: l, w: w, strict: o.strict}
	c.facts = plan.Facts{Path: p, Meta: l.Meta(0), Boots: i.Boots, Segments: len(i.Segments), Bytes: i.Bytes, Offset: l.Offset}
	for _, s := range i.Segments {
		if s.Sealed {
			c.facts.Sealed++
		}
	}
	c.offset = l.Offset(0)
	c.anchor = lang.Anchor{Begin: i.From, End: i.To, Loc: o.text.Loc}
	if err := c.damage(); err != nil {
		l.Close()
		return nil, err
	}
	return c, nil
}

// damage looks for findings that were not there before and says so once; under --strict they
// are an error. Reading rows can find damage that opening could not see.
func (c *capture) damage() error {
	c.facts.Findings = c.Findings()
	bad := 0
	for _, f := range c.facts.Findings {
		if !f.Harmless() {
			bad++
		}
	}
	if bad <= c.bad {
		return nil
	}
	c.bad = bad
	places := "1 place"
	if bad > 1 {
		places = fmt.Sprintf("%d places", bad)
	}
	if c.strict {
		return failed(exitDamaged, "E_DAMAGED", c.facts.Path+" is damaged in "+places, "hindcast verify lists them; without --strict what is whole is used")
	}
	note(c.w.err, "%s is damaged in %s; what is whole is used (hindcast verify lists them)", c.facts.Path, places)
	return nil
}

// env is what filters and times of this capture are read against.
func (c *capture) env() lang.Env {
	return lang.Env{Anchor: c.anchor, Offset: c.offset, Arch: c.facts.Meta.Arch}
}

// at reads a time given on the command line, 0 for none.
func (c *capture) at(text string) (clock.Boot, error) {
	if text == "" {
		return 0, nil
	}
	w, err := lang.ParseTime(text, c.anchor)
	if err != nil {
		return 0, err
	}
	return w.Boot(c.offset), nil
}

// model replays the capture. Damage that only shows while rows are read makes it replay again, so
// that the answers know of it.
func (c *capture) model() (*replay.Model, error) {
	for {
		o := replay.Options{Offset: c.Offset}
		if len(c.facts.Boots) > 0 {
			o.BootID = c.facts.Boots[0]
		}
		for i := range c.facts.Findings {
			if f := &c.facts.Findings[i]; !f.Harmless() {
				o.Findings = append(o.Findings, f.Error())
			}
		}
		m, err := replay.Build(c.Capture, o)
		if err != nil {
			return nil, err
		}
		before := c.bad
		if err := c.damage(); err != nil {
			return nil, err
		}
		if c.bad == before {
			return m, nil
		}
	}
}
