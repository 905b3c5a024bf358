//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"hindcast/recorder/bench/load"
	"hindcast/recorder/bench/tool"
)

func main() {
	serve := flag.String("serve", "", "be a worker, in this folder")
	hindcast := flag.String("hindcast", "bin/hindcast", "the program to measure")
	results := flag.String("results", "", "folder for a file with the results")
	quick := flag.Bool("quick", false, "fewer and shorter windows, main rows: about four minutes")
	only := flag.String("only", "", "sections, tools and pieces of work, comma separated; none: all")
	flag.Parse()
	err := func() error {
		if *serve != "" {
			return load.Serve(*serve, os.Stdin, os.Stdout)
		}
		if os.Geteuid() != 0 {
			return errors.New("recording needs root")
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
		b, err := newBench(*hindcast, *quick, *only)
		if err != nil {
			return err
		}
		return b.run(ctx, os.Stdout, *results)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	plan
	sections []string
	works    []*load.Work
	tools    []tool.Tool

	dir     string // of this run
	count   int    // of folders made in it
	begin   time.Time
	marks   tool.Marks
	endings map[string]time.Duration // of tools, see ending
	figures figures
}

// plan says how much is done.
type plan struct {
	quick   bool
	pairs   func(t tool.Tool) int
	window  time.Duration // of a piece of work inside the worker
	long    time.Duration // of one that starts programs
	census  time.Duration // of the run that counts
	repeats int           // of that run, for the standard profile
	rates   []int
	rate    time.Duration // of a rate
	cores   int           // pairs with one and two processors loaded, for the standard profile
	idle    time.Duration
	flood   time.Duration
}

func plans(quick bool) plan {
	if quick {
		return plan{quick: true, pairs: pairs(4, 1, 1), window: 100 * time.Millisecond, long: 200 * time.Millisecond, census: 400 * time.Millisecond,
			repeats: 1, rates: []int{10_000, 100_000, 1_000_000}, rate: time.Second, cores: 2, idle: 35 * time.Second, flood: 2 * time.Second}
	}
	return plan{pairs: pairs(12, 5, 3), window: 150 * time.Millisecond, long: 250 * time.Millisecond, census: 700 * time.Millisecond,
		repeats: 2, rates: []int{1_000, 10_000, 100_000, 300_000, 1_000_000}, rate: 1500 * time.Millisecond, cores: 6, idle: 65 * time.Second, flood: 5 * time.Second}
}

// What a quick run leaves out, unless it is named.
var (
	quickSections = []string{"work", "rates", "idle", "engine"}
	quickTools    = []string{"standard", "auditd", "scap-open"}
	quickWorks    = []string{"getppid", "open", "rename", "connect", "spawn", "find", "go-build", "nginx", "nginx-conn", "redis"}
)

// pairs returns how many windows a tool gets: the profile that most people run, the other
// profiles, and rivals, whose cost needs no fine measure.
func pairs(standard, profiles, rivals int) func(tool.Tool) int {
	return func(t tool.Tool) int {
		h, ok := t.(*tool.Hindcast)
		switch {
		case !ok:
			return rivals
		case h.Profile == "standard":
			return standard
		}
		return profiles
	}
}

var allSections = []string{"work", "programs", "rates", "cores", "idle", "engine"}

func newBench(hindcast string, quick bool, only string) (*bench, error) {
	b := &bench{plan: plans(quick), sections: allSections, works: load.Works(), begin: time.Now(), endings: map[string]time.Duration{}}
	for _, p := range []string{"standard", "minimal", "forensic"} {
		b.tools = append(b.tools, &tool.Hindcast{File: hindcast, Profile: p})
	}
	b.tools = append(b.tools, tool.Audit{}, tool.Bpftrace{}, tool.PerfTrace{}, tool.Strace{}, tool.Scap{File: os.Getenv("HINDCAST_SCAP_OPEN")})
	var names []string
	if only != "" {
		names = strings.Split(only, ",")
	}
	known := map[string]bool{}
	all := *b
	b.sections = choose(b.sections, names, known, func(s string) string { return s })
	b.works = choose(b.works, names, known, func(w *load.Work) string { return w.Name })
	b.tools = choose(b.tools, names, known, tool.Tool.Name)
	for _, n := range names {
		if !known[n] {
			return nil, fmt.Errorf("-only %s: no section, tool or work of that name (sections: %s)", n, strings.Join(allSections, ", "))
		}
	}
	if quick {
		b.sections = unnamed(b.sections, all.sections, quickSections, func(s string) string { return s })
		b.works = unnamed(b.works, all.works, quickWorks, func(w *load.Work) string { return w.Name })
		b.tools = unnamed(b.tools, all.tools, quickTools, tool.Tool.Name)
	}
	return b, nil
}

// unnamed cuts a kind of which nothing was named down to a few.
func unnamed[T any](chosen, all []T, few []string, name func(T) string) []T {
	if len(chosen) < len(all) {
		return chosen
	}
	return choose(all, few, map[string]bool{}, name)
}

// choose returns those of a kind that are named, or all when none is.
func choose[T any](all []T, names []string, known map[string]bool, name func(T) string) []T {
	var some []T
	for _, a := range all {
		if slices.Contains(names, name(a)) {
			some = append(some, a)
			known[name(a)] = true
		}
	}
	if some == nil {
		return all
	}
	return some
}

func (b *bench) run(ctx context.Context, stdout io.Writer, results string) (err error) {
	if b.dir, err = os.MkdirTemp("", "hindcast-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	facts, err := machine()
	if err != nil {
		return err
	}
	b.figures.init()
	// Audit's mark on processes would hide a part of what tools cost.
	b.marks.Unmark()
	defer b.marks.Mark()
	for _, s := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"work", b.measureWork}, {"programs", b.measurePrograms}, {"rates", b.measureRates}, {"cores", b.measureCores},
		{"idle", b.measureIdle}, {"engine", b.measureEngine},
	} {
		if !slices.Contains(b.sections, s.name) || ctx.Err() != nil {
			continue
		}
		if err := s.do(ctx); err != nil && ctx.Err() == nil {
			b.figures.trouble = append(b.figures.trouble, fmt.Sprintf("%s: %v", s.name, err))
			b.progress("%s: %v\n", s.name, err)
		}
	}
	b.progress("done\n")
	text := b.report(facts)
	if ctx.Err() != nil {
		fmt.Fprintln(stdout, "Interrupted: this is a part.")
		results = ""
	}
	if _, err := io.WriteString(stdout, text); err != nil {
		return err
	}
	if results != "" {
		if err := os.MkdirAll(results, 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(results, facts.commit+".md"), []byte(text), 0o666); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// progress tells on standard error what is being done.
func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%5.0f s  "+format, append([]any{time.Since(b.begin).Seconds()}, args...)...)
}

// folder makes a folder for one run of a tool; done removes it.
func (b *bench) folder() (dir string, done func(), err error) {
	b.count++
	dir = filepath.Join(b.dir, fmt.Sprint("run", b.count))
	return dir, func() { os.RemoveAll(dir) }, os.Mkdir(dir, 0o700)
}

// standard returns hindcast's standard profile, if it is among the tools.
func (b *bench) standard() *tool.Hindcast {
	for _, t := range b.tools {
		if h, ok := t.(*tool.Hindcast); ok && h.Profile == "standard" {
			return h
		}
	}
	return nil
}
