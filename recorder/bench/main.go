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
	all := func(into [][]sample) error {
		for i, k := range works {
			_, ns, err := w.run(k.name, b.window)
			if err != nil {
				return err
			}
			into[i] = append(into[i], ns)
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

	fmt.Fprintf(out, "Each line: %d windows of %v with the recorder, each against its two neighbours without;\nmean and 95 %% interval of the ratios. \"In the kernel\" is the time of the recorder's programs by the kernel's own clock.\n\n", b.pairs, b.window)
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

// engine floods the recorder, then loads what it wrote.
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
	r, err := b.record()
	if err != nil {
		return err
	}
	idle, _, err := r.rss()
	if err != nil {
		return err
	}
	before, err := r.cpu()
	if err != nil {
		return err
	}
	begin := time.Now()
	if _, _, err := w.run("flood", b.flood); err != nil {
		return err
	}
	time.Sleep(1500 * time.Millisecond) // what is in the rings and batches reaches the disk
	took := time.Since(begin)
	after, err := r.cpu()
	if err != nil {
		return err
	}
	_, peak, err := r.rss()
	if err != nil {
		return err
	}
	if err := r.stop(); err != nil {
		return err
	}
	size, err := r.size()
	if err != nil {
		return err
	}

	// Load: every column of every row; then the model that the questions are asked of.
	begin = time.Now()
	c, err := load.Open(r.dir, load.Options{})
	if err != nil {
		return err
	}
	defer c.Close()
	opened := time.Since(begin)
	var rows, lost int64
	begin = time.Now()
	err = c.Scan(0, 0, func(row *event.Row, _ load.RowID) error {
		rows++
		if row.Type == event.Ledger {
			lost += row.N2
		}
		return nil
	})
	if err != nil {
		return err
	}
	scanned := time.Since(begin)
	begin = time.Now()
	if _, err := replay.Build(c, replay.Options{}); err != nil {
		return err
	}
	built := time.Since(begin)

	cpu := after - before
	fmt.Fprintf(out, "One process opens, writes and closes 2,000 files in turn for %v, pinned to one processor; the\nwhole host is recorded.\n\n", b.flood)
	fmt.Fprintln(out, "| recorder and replay | |")
	fmt.Fprintln(out, "|---|---:|")
	fmt.Fprintf(out, "| events recorded | %s (%s/s) |\n", thousands(rows), thousands(int64(float64(rows)/b.flood.Seconds())))
	fmt.Fprintf(out, "| events lost, all in the ledger | %s (%.2f %%) |\n", thousands(lost), 100*float64(lost)/float64(lost+rows))
	fmt.Fprintf(out, "| ring to disk, per second of the recorder's processor time | %s events |\n", thousands(int64(float64(rows)/cpu.Seconds())))
	fmt.Fprintf(out, "| the recorder's share of one processor meanwhile | %.0f %% |\n", 100*cpu.Seconds()/took.Seconds())
	fmt.Fprintf(out, "| bytes on disk per event | %.1f |\n", float64(size)/float64(rows))
	fmt.Fprintf(out, "| resident size of the recorder, idle / peak | %.0f / %.0f MiB |\n", float64(idle)/(1<<20), float64(peak)/(1<<20))
	fmt.Fprintf(out, "| open the recording | %.1f ms |\n", opened.Seconds()*1000)
	fmt.Fprintf(out, "| load, every column of every row | %s events/s |\n", thousands(int64(float64(rows)/scanned.Seconds())))
	fmt.Fprintf(out, "| load and build the model for questions | %s events/s |\n", thousands(int64(float64(rows)/built.Seconds())))
	return nil
}

func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
