//go:build linux && (amd64 || arm64)

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"hindcast/format/event"
	"hindcast/query/lang"
	"hindcast/query/render/json"
	"hindcast/query/render/text"
	"hindcast/recorder"
	"hindcast/recorder/health"

	"github.com/urfave/cli/v2"
)

// holder is this program as recorder.Options.Holder.
var holder = []string{"/proc/self/exe", hold}

func record(c *cli.Context, w world) error {
	o, err := newOutput(c, w, "text", "json")
	if err != nil {
		return err
	}
	opt := recorder.Options{Profile: c.String("profile"), Env: c.Bool("env"), Command: c.Args().Slice(), Version: version, Holder: holder,
		Logger: slog.New(slog.NewTextHandler(w.err, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	if err := knownProfile(opt.Profile); err != nil {
		return err
	}
	for _, name := range strings.FieldsFunc(c.String("without"), func(r rune) bool { return r == ',' || r == ' ' }) {
		e := event.ByName(name)
		if e == nil {
			return usage("E_FLAG_VALUE", "unknown event `"+name+"`", "hindcast fields --events lists them")
		}
		opt.Without = append(opt.Without, e.ID)
	}
	if c.IsSet("filter") {
		if opt.Filter, err = recordFilter(c.String("filter")); err != nil {
			return err
		}
		if !c.Bool("quiet") {
			note(w.err, "filter: %s", opt.Filter.Parts)
		}
	}
	if s := c.String("duration"); s != "" {
		if opt.Duration, err = lang.ParseSpan(s); err != nil {
			return err
		}
		if opt.Duration <= 0 {
			return usage("E_FLAG_VALUE", "a duration is longer than nothing", "")
		}
	}
	for _, r := range []struct {
		flag string
		size *int
	}{{"ring-size", &opt.RingBytes}, {"critical-ring-size", &opt.CriticalBytes}} {
		if c.IsSet("memory-limit") && !c.IsSet(r.flag) {
			continue // what is left for it
		}
		n, err := lang.ParseBytes(c.String(r.flag))
		if err != nil {
			return err
		}
		if n < 1 || n > 1<<30 {
			return usage("E_FLAG_VALUE", "--"+r.flag+" is between a page and 1 GiB", "")
		}
		*r.size = int(n)
	}
	if err := recordLimits(c, &opt); err != nil {
		return err
	}
	if opt.Quota = c.Int("cgroup-quota"); opt.Quota < 0 || opt.Quota == 0 && c.IsSet("cgroup-quota") {
		return usage("E_FLAG_VALUE", "--cgroup-quota is at least one row a second", "")
	}
	opt.Pin, opt.NoPin = c.String("pin"), c.Bool("no-pin")
	if opt.Pin != "" && opt.NoPin {
		return usage("E_USAGE", "--pin and --no-pin contradict each other", "")
	}
	opt.Dir = c.String("write")
	if opt.Dir == "" {
		opt.Dir = newCaptureDir(w, time.Now())
	}

	if len(opt.Command) == 0 && !c.Bool("quiet") {
		told := false
		opt.Notify = func(s recorder.Status) {
			if s.Phase == health.Recording && !told {
				told = true
				note(w.err, "recording the whole host into %s; INT ends it", opt.Dir)
			}
		}
	}

	ctx, stop := endOnSignal(len(opt.Command) > 0)
	defer stop()
	res, err := recorder.Run(ctx, opt)
	if err == nil || res.Segments > 0 {
		if e := summary(c, w, o, res); err == nil {
			err = e
		}
	}
	if err != nil {
		return recordFailure(err, len(opt.Command) > 0)
	}
	if len(opt.Command) > 0 && res.ExitCode != 0 {
		return silent(res.ExitCode)
	}
	return nil
}

// recordLimits reads what the recorder may use.
func recordLimits(c *cli.Context, opt *recorder.Options) (err error) {
	if c.IsSet("cpu-limit") {
		text := strings.TrimSpace(strings.TrimSuffix(c.String("cpu-limit"), "%"))
		if opt.CPULimit, err = strconv.ParseFloat(text, 64); err != nil || !(opt.CPULimit >= 0.5) || opt.CPULimit > 100*1024 {
			return usage("E_FLAG_VALUE", "--cpu-limit is a percentage of one processor, at least 0.5", "")
		}
	}
	for _, r := range []struct {
		flag string
		size *int64
	}{{"memory-limit", &opt.MemoryLimit}, {"spill-size", &opt.SpillBytes}} {
		if c.String(r.flag) == "" {
			continue
		}
		n, err := lang.ParseBytes(c.String(r.flag))
		if err != nil {
			return err
		}
		if *r.size = int64(n); r.flag == "spill-size" && n == 0 {
			*r.size = -1
		}
		if r.flag == "memory-limit" && n < 1 {
			return usage("E_FLAG_VALUE", "--memory-limit is more than nothing", "")
		}
	}
	return nil
}

// recordDir is the folder that new captures are made in.
func recordDir(w world) string {
	if d := w.getenv("HINDCAST_DIR"); d != "" {
		return d
	}
	return defaultDir
}

// newCaptureDir names a new capture by its start, below the default folder.
func newCaptureDir(w world, now time.Time) string {
	return filepath.Join(recordDir(w), now.UTC().Format("20060102T150405Z"))
}

// recordFailure gives the recorder's errors their exit codes; their text already says what to do. With
// a command, codes below 125 belong to it.
func recordFailure(err error, command bool) error {
	cannot, own := exitCannot, exitFailed
	if command {
		cannot, own = exitOwnFailure, exitOwnFailure
	}
	for _, k := range []struct {
		cause error
		code  string
		exit  int
	}{
		{recorder.ErrOptions, "E_USAGE", exitUsage},
		{recorder.ErrNotRoot, "E_NOT_ROOT", cannot},
		{recorder.ErrCapability, "E_CAPABILITY", cannot},
		{recorder.ErrNoBTF, "E_NO_BTF", cannot},
		{recorder.ErrKernel, "E_KERNEL", cannot},
		{recorder.ErrOutput, "E_OUTPUT", own},
		{recorder.ErrCommandNotFound, "E_COMMAND_NOT_FOUND", exitNotFound},
		{recorder.ErrCommandNotExecutable, "E_COMMAND_NOT_EXECUTABLE", exitNotExecutable},
	} {
		if errors.Is(err, k.cause) {
			return failed(k.exit, k.code, err.Error(), "")
		}
	}
	return failed(own, "E_FAILED", err.Error(), "")
}

// summary prints what was recorded, in one line and the next command. It goes to standard error with a
// command, whose output standard output belongs to.
func summary(c *cli.Context, w world, o *output, res recorder.Result) error {
	if c.Bool("quiet") {
		return nil
	}
	out := w.out
	if c.Args().Len() > 0 {
		out = w.err
	}
	if o.format == "json" {
		return json.Write(out, struct {
			Dir         string `json:"dir"`
			Events      uint64 `json:"events"`
			Lost        uint64 `json:"lost"`
			Unaccounted uint64 `json:"unaccounted"`
			Segments    int    `json:"segments"`
			Bytes       int64  `json:"bytes"`
			DurationNS  int64  `json:"duration_ns"`
			ExitCode    int    `json:"exit_code"`
		}{res.Dir, res.Events, res.Lost, res.Unaccounted, res.Segments, res.Bytes, int64(res.Duration), res.ExitCode}, false)
	}
	lost := text.Number(res.Lost) + " lost"
	if res.Lost > 0 {
		lost += " (hindcast drops says of what)"
	}
	if res.Missing > 0 {
		lost += ", " + strconv.Itoa(res.Missing) + " hooks not attached"
	}
	if res.Unaccounted > 0 {
		lost += ", " + text.Number(res.Unaccounted) + " UNACCOUNTED"
	}
	segments := "1 segment"
	if res.Segments != 1 {
		segments = strconv.Itoa(res.Segments) + " segments"
	}
	_, err := fmt.Fprintf(out, "hindcast: %s events in %s, %s, %s in %s; next: hindcast ps %s\n", text.Number(res.Events), text.Duration(res.Duration), lost,
		text.Size(uint64(max(res.Bytes, 0))), segments, shellWord(res.Dir))
	return err
}

// shellWord quotes a path for a shell where it needs that.
func shellWord(s string) string {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("/._-+:@%", c) >= 0 {
			continue
		}
		return "'" + strings.ReplaceAll(text.Escape(s), "'", `'\''`) + "'"
	}
	return s
}

// endOnSignal returns a context that INT, TERM or HUP ends, so that the recording ends in order;
// after that the signals have their usual meaning again, and another one ends the program. While a
// command is recorded the first INT is left to the command: the terminal sends it to both, and a
// program that handles it, a shell say, need not end.
func endOnSignal(command bool) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan os.Signal, 4)
	signal.Notify(got, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup asks to go on
		signal.Notify(got, syscall.SIGHUP)
	}
	go func() {
		for s := range got {
			if command && s == os.Interrupt {
				command = false
				continue
			}
			signal.Stop(got)
			cancel()
			return
		}
	}()
	return ctx, func() { signal.Stop(got); cancel() }
}
