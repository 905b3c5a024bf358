package segment

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"hindcast/format/clock"
)

// Meta is what a segment says about itself, in the metadata of its schema message.
type Meta struct {
	Format    int        `json:"format"`     // layout version; NewWriter sets it
	Catalog   int        `json:"catalog"`    // event catalogue version; NewWriter sets it
	Host      string     `json:"host"`       // host name
	MachineID string     `json:"machine_id"` // hash of the machine id, never the id itself
	BootID    string     `json:"boot_id"`
	Kernel    string     `json:"kernel"`
	Arch      string     `json:"arch"`
	Recorder  string     `json:"recorder"` // version of the writer
	Config    string     `json:"config"`   // hash of its configuration
	Clock     clock.Pair `json:"clock"`    // its offset turns boot time into stored wall time, for the whole segment
	Number    uint64     `json:"number"`   // of the segment, per host, never reused
	Prev      string     `json:"prev"`     // root of the segment before, "genesis" for the first of a boot
	CPUs      int        `json:"cpus"`
	Started   clock.Boot `json:"started"`           // when the recording began
	Command   []string   `json:"command,omitempty"` // what was recorded; empty for the whole host
}

// Genesis is the Prev of a segment that no other precedes.
const Genesis = "genesis"

const metaPrefix = "hindcast."

// pairs lists the metadata in stored order.
func (m *Meta) pairs() []pair {
	num := func(v int64) string { return strconv.FormatInt(v, 10) }
	cmd := ""
	if len(m.Command) > 0 {
		b, _ := json.Marshal(bytesAsText(m.Command))
		cmd = string(b)
	}
	text := func(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
	return []pair{
		{"format", num(int64(m.Format))},
		{"catalog", num(int64(m.Catalog))},
		{"host", text(m.Host)},
		{"machine_id", text(m.MachineID)},
		{"boot_id", text(m.BootID)},
		{"kernel", text(m.Kernel)},
		{"arch", text(m.Arch)},
		{"recorder", text(m.Recorder)},
		{"config", text(m.Config)},
		{"clock.boot", num(int64(m.Clock.Boot))},
		{"clock.wall", num(int64(m.Clock.Wall))},
		{"number", strconv.FormatUint(m.Number, 10)},
		{"prev", text(m.Prev)},
		{"cpus", num(int64(m.CPUs))},
		{"started", num(int64(m.Started))},
		{"command", cmd},
	}
}

// parseMeta is the inverse of pairs. Unknown keys are skipped, missing ones stay zero,
// a number that is none is an error.
func parseMeta(kv []pair) (m Meta, err error) {
	num := func(p pair, bits int) int64 {
		v, e := strconv.ParseInt(p.value, 10, bits)
		if e != nil && err == nil {
			err = fmt.Errorf("metadata %s: %q is not a number", p.key, clip(p.value))
		}
		return v
	}
	for _, p := range kv {
		key, ok := strings.CutPrefix(p.key, metaPrefix)
		if !ok {
			continue
		}
		switch key {
		case "format":
			m.Format = int(num(p, 32))
		case "catalog":
			m.Catalog = int(num(p, 32))
		case "host":
			m.Host = p.value
		case "machine_id":
			m.MachineID = p.value
		case "boot_id":
			m.BootID = p.value
		case "kernel":
			m.Kernel = p.value
		case "arch":
			m.Arch = p.value
		case "recorder":
			m.Recorder = p.value
		case "config":
			m.Config = p.value
		case "clock.boot":
			m.Clock.Boot = clock.Boot(num(p, 64))
		case "clock.wall":
			m.Clock.Wall = clock.Wall(num(p, 64))
		case "number":
			v, e := strconv.ParseUint(p.value, 10, 64)
			if e != nil && err == nil {
				err = fmt.Errorf("metadata number: %q is not a number", clip(p.value))
			}
			m.Number = v
		case "prev":
			m.Prev = p.value
		case "cpus":
			m.CPUs = int(num(p, 32))
		case "started":
			m.Started = clock.Boot(num(p, 64))
		case "command":
			if p.value == "" {
				continue
			}
			if e := json.Unmarshal([]byte(p.value), &m.Command); e != nil && err == nil {
				err = fmt.Errorf("metadata command: not a list of strings")
			}
			m.Command = textAsBytes(m.Command)
		}
	}
	return m, err
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}

// bytesAsText maps every byte to the rune of its value, so that arguments that are not
// UTF-8 survive JSON; textAsBytes maps them back.
func bytesAsText(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		r := make([]rune, len(s))
		for j := 0; j < len(s); j++ {
			r[j] = rune(s[j])
		}
		out[i] = string(r)
	}
	return out
}

func textAsBytes(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		b := make([]byte, 0, len(s))
		for _, r := range s {
			b = append(b, byte(r))
		}
		out[i] = string(b)
	}
	return out
}
