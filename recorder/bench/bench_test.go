//go:build linux

package main

import (
	"math"
	"strings"
	"testing"

	"hindcast/recorder/bench/load"
	"hindcast/recorder/bench/tool"
)

func TestOnlyChoosesOfItsKind(t *testing.T) {
	b, err := newBench("bin/hindcast", false, "open,strace,standard")
	if err != nil {
		t.Fatal(err)
	}
	if len(b.works) != 1 || b.works[0].Name != "open" || len(b.tools) != 2 || len(b.sections) != len(allSections) {
		t.Errorf("works %d, tools %d, sections %d", len(b.works), len(b.tools), len(b.sections))
	}
	if b, err = newBench("bin/hindcast", true, "idle,tar"); err != nil {
		t.Fatal(err)
	}
	if len(b.works) != 1 || len(b.sections) != 1 || len(b.tools) != len(quickTools) {
		t.Errorf("quick: works %d, tools %d, sections %d", len(b.works), len(b.tools), len(b.sections))
	}
	if b, err = newBench("bin/hindcast", true, ""); err != nil || len(b.works) != len(quickWorks) || len(b.sections) != len(quickSections) {
		t.Errorf("quick: works %d, sections %d, %v", len(b.works), len(b.sections), err)
	}
	if _, err := newBench("bin/hindcast", false, "open,opne"); err == nil || !strings.Contains(err.Error(), "opne") {
		t.Errorf("an unknown name: %v", err)
	}
}

func measured(off, on, recorder, seen float64) *cell {
	return &cell{off: []float64{off, off}, on: []float64{on}, wallOff: []float64{off, off}, wallOn: []float64{on},
		counted: 10, recorder: recorder, seen: seen, bytes: math.NaN()}
}

// A budget is met by work and recorder together, and compared with each rival on every
// piece of work that the rival has records of.
func TestBudgets(t *testing.T) {
	b := &bench{works: []*load.Work{load.Find("open"), load.Find("spawn"), load.Find("getppid")}}
	b.figures.init()
	b.figures.cells["standard"] = map[string]*cell{
		"open": measured(100, 105, 5, 1), "spawn": measured(1000, 1050, 60, 3), "getppid": measured(100, 110, 0, 0)}
	b.figures.cells["auditd"] = map[string]*cell{
		"open": measured(100, 300, 100, 1), "spawn": measured(1000, 1500, 500, 3), "getppid": measured(100, 100, 0, 0)}
	if got := b.by("standard", "open").total(); math.Abs(got-1.10) > 1e-9 {
		t.Errorf("total %v, want 1.10", got)
	}
	// open adds 0.10 against 3.00, spawn 0.11 against 1.00; auditd tells nothing of getppid.
	if text, met := b.against("auditd", 0.1); met || !strings.Contains(text, "more on 1 of 2: spawn 0.11") {
		t.Errorf("against auditd: %q, %v", text, met)
	}
	if text, met := b.against("auditd", 0.2); !met || !strings.Contains(text, "at most 0.11 of it (spawn), 2 kinds") {
		t.Errorf("against auditd: %q, %v", text, met)
	}
	if text, met := b.against("scap-open", 1); text != "" || met {
		t.Errorf("against a tool that did not run: %q, %v", text, met)
	}
	var s strings.Builder
	b.budgetTable(&s)
	for _, want := range []string{
		"| a call that is not recorded, standard: at most +15 ns | +10 ns | yes |",
		"| exec storm (posix_spawn of true), standard: at most 10 % | +11.0 %: work +5.0 %, recorder +6.0 % | no |",
		"| redis, standard: at most 3 % | not in this run | - |",
	} {
		if !strings.Contains(s.String(), want) {
			t.Errorf("no line %q in\n%s", want, s.String())
		}
	}
}

// Loss counts against the budget only where the ledger does not tell it.
func TestLossBudget(t *testing.T) {
	for _, c := range []struct {
		opens, lost int64
		want        string
	}{{100, 0, "0 events neither recorded nor in the ledger | yes"}, {90, 10, "0 events neither recorded nor in the ledger | yes"}, {90, 4, "6 events neither recorded nor in the ledger | no"}} {
		b := &bench{}
		b.figures.init()
		b.figures.rates = []rated{{tool: "standard", attempted: 1000, made: 100, opens: c.opens, lost: c.lost}}
		var s strings.Builder
		b.budgetTable(&s)
		if !strings.Contains(s.String(), c.want) {
			t.Errorf("%+v: no %q in\n%s", c, c.want, s.String())
		}
	}
}

// A rival that failed has a row that says why, and the report is whole.
func TestReportOfWhatFailed(t *testing.T) {
	b, err := newBench("bin/hindcast", true, "open,standard,auditd,strace")
	if err != nil {
		t.Fatal(err)
	}
	b.figures.init()
	b.figures.cells["standard"] = map[string]*cell{"open": measured(100, 105, 5, 1)}
	b.figures.cells["strace"] = map[string]*cell{"open": {why: "start: ended at once"}}
	b.figures.cells["standard"]["tar"] = &cell{off: []float64{1}, on: []float64{1}, wallOff: []float64{1}, wallOn: []float64{1}} // interrupted
	b.works = append(b.works, load.Find("tar"))
	b.figures.missing["auditd"] = "auditd is not installed"
	b.figures.rates = []rated{{tool: "strace", attempted: 1000, why: "start: no"}, {tool: "standard", attempted: 1000, made: 10, opens: 10, lost: tool.Unknown}}
	text := b.report(facts{})
	for _, want := range []string{"| auditd | not run: auditd is not installed |", "| strace | no figures: start: ended at once |", "| strace | 1,000 | no figures: start: no |", "untold", "| standard | 100 ns | 1.050 |"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Errorf("numbers that are none in\n%s", text)
	}
}
