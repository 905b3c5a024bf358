//go:build linux

package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"hindcast/format/event"
	"hindcast/replay"
	"hindcast/replay/load"
)

func main() {
	var b bench
	serveDir := flag.String("serve", "", "be the worker, in this folder")
	results := flag.String("results", "", "folder for a file with the results")
	flag.StringVar(&b.hindcast, "hindcast", "bin/hindcast", "the program to measure")
	flag.IntVar(&b.pairs, "pairs", 15, "windows with the recorder; one more without")
	flag.DurationVar(&b.window, "window", 200*time.Millisecond, "length of a window of each piece of work")
	flag.DurationVar(&b.flood, "flood", 5*time.Second, "length of the flood")
	flag.Parse()
	err := func() error {
		if *serveDir != "" {
			return serve(*serveDir)
		}
		if os.Geteuid() != 0 {
			return fmt.Errorf("recording needs root")
		}
		return b.run(*results)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	hindcast      string
	pairs         int
	window, flood time.Duration

	dir   string // of this run
	count int    // recordings made
}

func (b *bench) run(results string) (err error) {
	if b.dir, err = os.MkdirTemp("", "hindcast-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	facts, err := machine()
	if err != nil {
		return err
	}
	var text strings.Builder
	out := io.MultiWriter(os.Stdout, &text)
	fmt.Fprintf(out, "%s\n\n", facts)
	if err := b.workloads(out); err != nil {
		return err
	}
	if err := b.engine(out); err != nil {
		return err
	}
	if results == "" {
		return nil
	}
	if err := os.MkdirAll(results, 0o777); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(results, facts.commit+".md"), []byte(text.String()), 0o666)
}

func (b *bench) record() (*recording, error) {
	b.count++
	return record(b.hindcast, filepath.Join(b.dir, fmt.Sprintf("store%d", b.count)))
}

// workloads prints what recording adds to each piece of work.
func (b *bench) workloads(out io.Writer) error {
	dir := filepath.Join(b.dir, "work")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	w, err := startWorker(dir, 0)
	if err != nil {
		return err
	}
	defer w.stop()
	off, on := make([][]sample, len(works)), make([][]sample, len(works))
	// A window is cut into rounds of all works; the median round stands for it, so that
	// a processor taken away for a moment does not.
	const rounds = 5
	all := func(into [][]sample) error {
		got := make([][]sample, len(works))
		for range rounds {
			for i, k := range works {
				_, ns, err := w.run(k.name, b.window/rounds)
				if err != nil {
					return err
				}
				got[i] = append(got[i], ns)
			}
		}
		for i := range works {
			into[i] = append(into[i], median(got[i]))
		}
		return nil
	}
	if err := all(make([][]sample, len(works))); err != nil { // warm
		return err
	}
	if err := all(off); err != nil {
		return err
	}
	for i := range b.pairs {
		fmt.Fprintf(os.Stderr, "\rpair %d of %d ", i+1, b.pairs)
		r, err := b.record()
		if err != nil {
			return err
		}
		if err := all(on); err != nil {
			return err
		}
		if err := r.stop(); err != nil {
			return err
		}
		if err := os.RemoveAll(r.dir); err != nil {
			return err
		}
		time.Sleep(200 * time.Millisecond) // freeing programs and maps is over
		if err := all(off); err != nil {
			return err
		}
	}
	fmt.Fprintln(os.Stderr)
	kernel, err := b.kernel(w)
	if err != nil {
		return err
	}

	fmt.Fprintf(out, "Each line: %d windows of %v with the recorder, each against its two neighbours without;\nmean and 95 %% interval of the ratios. ns are processor time of the worker and its children; \"in the kernel\" is\nthat of the recorder's programs by the kernel's own count.\n\n", b.pairs, b.window)
	fmt.Fprintln(out, "| work | off, ns | on, ns | on / off | added, ns | in the kernel, ns | program runs |")
	fmt.Fprintln(out, "|---|---:|---:|---:|---:|---:|---:|")
	for i, k := range works {
		a, _ := mean(off[i])
		r, half := mean(ratios(off[i], on[i]))
		fmt.Fprintf(out, "| %s | %.0f | %.0f | %.3f ± %.3f | %+.0f ± %.0f | %.0f | %.1f |\n",
			k.what, a, a*r, r, half, a*(r-1), a*half, kernel[k.name].ns, kernel[k.name].runs)
	}
	fmt.Fprintln(out)
	return nil
}

type perOp struct{ ns, runs float64 }

// kernel returns the time the kernel spends in the recorder's programs for one
// operation of each piece of work, less what they cost when nothing is done.
func (b *bench) kernel(w *worker) (map[string]perOp, error) {
	r, err := b.record()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(r.dir)
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		return nil, fmt.Errorf("enable statistics: %w", err)
	}
	defer stats.Close()
	during := func(f func() error) (spent, error) {
		before, err := r.spent()
		if err != nil {
			return spent{}, err
		}
		if err := f(); err != nil {
			return spent{}, err
		}
		after, err := r.spent()
		var sum spent
		for name, a := range after {
			sum.time += a.time - before[name].time
			sum.runs += a.runs - before[name].runs
		}
		return sum, err
	}
	window := 2 * b.window
	idle, err := during(func() error { time.Sleep(window); return nil })
	if err != nil {
		return nil, err
	}
	all := map[string]perOp{}
	for _, k := range works {
		ops := 0
		s, err := during(func() (err error) { ops, _, err = w.run(k.name, window); return err })
		if err != nil {
			return nil, err
		}
		all[k.name] = perOp{max(0, float64(s.time-idle.time)) / float64(ops), max(0, float64(s.runs)-float64(idle.runs)) / float64(ops)}
	}
	return all, r.stop()
}

// engine floods the recorder, then loads what it wrote, then feeds it at a steady rate.
func (b *bench) engine(out io.Writer) error {
	dir := filepath.Join(b.dir, "flood")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	w, err := startWorker(dir, 0)
	if err != nil {
		return err
	}
	defer w.stop()
	fmt.Fprintf(out, "One process, pinned to one processor, opens, writes and closes 2,000 files in turn for %v, first as fast as it\ncan, then at a rate. The whole host is recorded.\n\n", b.flood)
	fmt.Fprintln(out, "| recorder and replay | |")
	fmt.Fprintln(out, "|---|---:|")
	full, err := b.load(w, "flood")
	if err != nil {
		return err
	}
	defer os.RemoveAll(full.dir)
	read, err := replayed(full.dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "| as fast as it can: events recorded | %s (%s/s) |\n", thousands(read.rows), thousands(perSecond(read.rows, b.flood)))
	fmt.Fprintf(out, "| events lost, all in the ledger | %s (%.2f %%) |\n", thousands(read.lost), 100*float64(read.lost)/float64(read.lost+read.rows))
	fmt.Fprintf(out, "| ring to disk, per second of the recorder's processor time | %s events |\n", thousands(perSecond(read.rows, full.cpu)))
	fmt.Fprintf(out, "| the recorder's share of one processor | %.0f %% |\n", 100*full.cpu.Seconds()/full.took.Seconds())
	fmt.Fprintf(out, "| its resident size, before / peak | %.0f / %.0f MiB |\n", mib(full.idle), mib(full.peak))
	fmt.Fprintf(out, "| bytes on disk per event | %.1f |\n", float64(full.size)/float64(read.rows))
	fmt.Fprintf(out, "| open the recording | %.1f ms |\n", read.opened.Seconds()*1000)
	fmt.Fprintf(out, "| load, every column of every row | %s events/s |\n", thousands(perSecond(read.rows, read.scanned)))
	fmt.Fprintf(out, "| load and build the model for questions | %s events/s |\n", thousands(perSecond(read.rows, read.built)))

	paced, err := b.load(w, "paced")
	if err != nil {
		return err
	}
	defer os.RemoveAll(paced.dir)
	if read, err = replayed(paced.dir); err != nil {
		return err
	}
	fmt.Fprintf(out, "| at a rate: events recorded | %s (%s/s) |\n", thousands(read.rows), thousands(perSecond(read.rows, b.flood)))
	fmt.Fprintf(out, "| events lost | %s |\n", thousands(read.lost))
	fmt.Fprintf(out, "| the recorder's share of one processor | %.0f %% |\n", 100*paced.cpu.Seconds()/paced.took.Seconds())
	fmt.Fprintf(out, "| its resident size, before / peak | %.0f / %.0f MiB |\n", mib(paced.idle), mib(paced.peak))
	fmt.Fprintf(out, "| bytes on disk per event | %.1f |\n", float64(paced.size)/float64(read.rows))
	return nil
}

// loaded is what the recorder spent on a piece of work.
type loaded struct {
	dir        string
	cpu, took  time.Duration
	idle, peak int64 // resident bytes
	size       int64 // bytes on disk
}

func (b *bench) load(w *worker, name string) (l loaded, err error) {
	r, err := b.record()
	if err != nil {
		return l, err
	}
	l.dir = r.dir
	if l.idle, _, err = r.rss(); err != nil {
		return l, err
	}
	before, err := r.cpu()
	if err != nil {
		return l, err
	}
	begin := time.Now()
	if _, _, err := w.run(name, b.flood); err != nil {
		return l, err
	}
	time.Sleep(1500 * time.Millisecond) // what is in the rings and batches reaches the disk
	l.took = time.Since(begin)
	after, err := r.cpu()
	if err != nil {
		return l, err
	}
	l.cpu = after - before
	if _, l.peak, err = r.rss(); err != nil {
		return l, err
	}
	if err := r.stop(); err != nil {
		return l, err
	}
	l.size, err = r.size()
	return l, err
}

// reread is what loading a recording took.
type reread struct {
	rows, lost             int64
	opened, scanned, built time.Duration
}

func replayed(dir string) (r reread, err error) {
	begin := time.Now()
	c, err := load.Open(dir, load.Options{})
	if err != nil {
		return r, err
	}
	defer c.Close()
	r.opened = time.Since(begin)
	begin = time.Now()
	err = c.Scan(0, 0, func(row *event.Row, _ load.RowID) error {
		r.rows++
		if row.Type == event.Ledger {
			r.lost += row.N2
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	r.scanned = time.Since(begin)
	begin = time.Now()
	_, err = replay.Build(c, replay.Options{})
	r.built = time.Since(begin)
	return r, err
}

func perSecond(n int64, d time.Duration) int64 { return int64(float64(n) / d.Seconds()) }

func mib(n int64) float64 { return float64(n) / (1 << 20) }

func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
