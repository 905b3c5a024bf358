package main

import (
	"strings"

	"github.com/urfave/cli/v2"
)

func recordCommand(w world) *cli.Command {
	return &cli.Command{
		Name:      "record",
		Usage:     "record this host, or one command and what it starts",
		ArgsUsage: "[-w DIR] [--duration TIME] [--profile NAME] [-- CMD ARGS...]",
		Description: `Without CMD the whole host is recorded until INT or TERM, or for --duration. With CMD the recording ends
with it, and its exit code becomes that of record. The end of a recording drains, seals and prints one
line of summary; a second INT ends at once, and what was written stays readable. With CMD the first INT
is for CMD, which gets it from the terminal too: the recording goes on until CMD ends, or the next INT.
With -f only what the filter matches is recorded, and lineage: who was made by whom, ran what, as which user.
  hindcast record -f 'evt.type in (open, write) and file.path startswith /etc'
  hindcast record -f 'proc.uid = 1000 or desc(1234)'            (a process and what descends from it)
  hindcast record -f 'proc.cgroup = /system.slice/nginx.service or net.port = 443'
What it asks of the event, its actor, file.path, ports and addresses is decided in the kernel, most other
tests by the recorder; what only a replay knows (proc.exe, anc) refuses nothing. Answers say what was left out.
Needs Linux, root (CAP_BPF, CAP_PERFMON and more: hindcast doctor says which) and a kernel with BTF.
exit codes: 0 ok, 1 failed, 2 usage, 5 this host cannot record
with CMD: CMD's own code; 125 recording failed or cannot start, 126 CMD cannot be executed, 127 CMD not found`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "write", Aliases: []string{"w"}, Usage: "`DIR` to write to; default: a new one named by time in $HINDCAST_DIR or ./hindcast-data"},
			&cli.StringFlag{Name: "duration", Aliases: []string{"d"}, Usage: "`TIME` to record for, such as 30s or 10min"},
			&cli.StringFlag{Name: "profile", Value: "standard", Usage: "`NAME`: minimal (processes, credentials, connections), standard or forensic (more detail, more cost)"},
			&cli.StringFlag{Name: "without", Usage: "`EVENTS`, comma separated, that are not wanted: their hooks are not attached, and answers say what that hides"},
			&cli.StringFlag{Name: "filter", Aliases: []string{"f"}, Usage: "`FILTER` of what is wanted, as for hindcast events; processes, programs and credentials are recorded whatever it is"},
			&cli.StringFlag{Name: "ring-size", Value: "16MiB", Usage: "`BYTES` of the kernel's ring for what a flood may push out; hindcast drops says whether it was too small"},
			&cli.StringFlag{Name: "critical-ring-size", Value: "8MiB", Usage: "`BYTES` of the ring kept for processes, credentials and connections"},
			&cli.BoolFlag{Name: "env", Usage: "keep the values of environments, secrets among them; default: their names and a digest"},
			&cli.IntFlag{Name: "cgroup-quota", Usage: "`ROWS` a second that a cgroup may send through that ring; more is only counted; default: 16384 while it is nearly full"},
			&cli.StringFlag{Name: "cpu-limit", Usage: "`PERCENT` of one processor that the recorder may use; above it what only tells of data is counted instead of told"},
			&cli.StringFlag{Name: "memory-limit", Usage: "`BYTES` for rings, batches and heap together, such as 64MiB; rings of no given size get smaller with it"},
			&cli.StringFlag{Name: "spill-size", Value: "1GiB", Usage: "`BYTES` of the file in DIR for what cannot be encoded in time, a tenth of the free space at most; 0: none"},
			&cli.StringFlag{Name: "pin", Usage: "`DIR` of a bpf file system where the hooks outlive a killed recorder of the whole host; default: /sys/fs/bpf/hindcast"},
			&cli.BoolFlag{Name: "no-pin", Usage: "everything ends with the recorder, even when it is killed"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no summary"},
		},
		Action: func(c *cli.Context) error { return record(c, w) },
	}
}

var profiles = []string{"minimal", "standard", "forensic"}

func knownProfile(name string) error {
	for _, p := range profiles {
		if p == name {
			return nil
		}
	}
	return usage("E_FLAG_VALUE", "unknown profile `"+name+"`", "profiles are "+strings.Join(profiles, ", "))
}
