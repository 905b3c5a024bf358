//go:build linux && (amd64 || arm64)

package probe

import "runtime"

// sees tells whether a hook is attached.
func (p *Probe) sees(name string) bool {
	for i := range p.places {
		if p.places[i].entry.Name == name {
			return p.places[i].on
		}
	}
	return false
}

// sighted tells whether a hook that not every profile has sees what is blind otherwise: 32-bit calls
// of x86-64 are handed to the programs of all other calls.
func (p *Probe) sighted(e *Entry) bool {
	return e.Name == calls32 && runtime.GOARCH == "amd64" && p.sees("hc_calls")
}
