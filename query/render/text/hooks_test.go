package text

import (
	"fmt"
	"strings"
	"testing"

	"hindcast/query/answer"
)

// Hooks that were missing all the time share one line, unless -v asks; one that came or went
// keeps its own, with the time.
func TestMissingHooksShareALine(t *testing.T) {
	hook := func(name string, whole bool) answer.Gap {
		return answer.Gap{Kind: "not_attached", Cause: name, Whole: whole, Text: "hook " + name + " not attached: why", CPU: -1,
			From: answer.Time{Wall: 1e9}, To: answer.Time{Wall: 2e9}}
	}
	gaps := []answer.Gap{hook("one", true), hook("late", false), hook("tw\x1bo", true)}
	print := func(gs []answer.Gap, o Options) string {
		var b strings.Builder
		if err := NotSeen(&b, gs, answer.Time{}, answer.Time{Wall: 3e9}, o); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if got := print(gaps, Options{}); strings.Count(got, "\n") != 3 || !strings.Contains(got, `one, tw\x1bo: what passes there`) || !strings.Contains(got, "hook late not attached") {
		t.Errorf("%s", got)
	}
	if got := print(gaps, Options{Verbose: true}); strings.Count(got, "not attached: why") != 3 {
		t.Errorf("%s", got)
	}
	if got := print(gaps[:1], Options{}); !strings.Contains(got, "hook one not attached: why") {
		t.Errorf("a single hook tells all: %s", got)
	}
	gaps = nil
	for i := range 11 {
		gaps = append(gaps, hook(fmt.Sprint("h", i), true))
	}
	if got := print(gaps, Options{}); !strings.Contains(got, "h7 and 3 more: ") {
		t.Errorf("%s", got)
	}
}
