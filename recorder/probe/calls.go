//go:build linux && (amd64 || arm64)

package probe

import (
	"runtime"

	"hindcast/bpf"
)

// BlindSpots lists what no hook sees here.
func (p *Probe) BlindSpots() (out []*Entry) {
	for i := range Blind {
		if !p.sighted(&Blind[i]) {
			out = append(out, &Blind[i])
		}
	}
	return out
}

// sees tells whether a hook is attached.
func (p *Probe) sees(name string) bool {
	for i := range p.places {
		if p.places[i].entry.Name == name {
			return p.places[i].on
		}
	}
	return false
}

// sighted tells whether what is blind otherwise is seen here: 32-bit calls of x86-64, which a hook that
// not every profile has hands to the programs of all other calls, and UDP on all but old kernels.
func (p *Probe) sighted(e *Entry) bool {
	if e.Name == oldUDP {
		return !bpf.Old()
	}
	return e.Name == calls32 && runtime.GOARCH == "amd64" && p.sees("hc_calls")
}
