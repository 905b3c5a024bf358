//go:build linux && (amd64 || arm64)

package bpf

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
)

// live is the map of what can be changed while the programs run: hc_self and hc_squeeze. All objects
// share it.
const live = ".data.hc"

// SetSelf tells the programs whose bulk events are left out from now on, as the initial pid
// namespace numbers it.
func (s *Set) SetSelf(tgid uint32) error {
	if err := s.maps[live].Put(uint32(0), [2]uint32{tgid, s.squeeze.Load()}); err != nil {
		return fmt.Errorf("tell the programs who records: %w", err)
	}
	s.Self = tgid
	return nil
}

// LiveSelf reads what the programs take for the recorder: 0 when that has ended.
func (s *Set) LiveSelf() (tgid uint32, err error) {
	var v [2]uint32
	err = s.maps[live].Lookup(uint32(0), &v)
	return v[0], err
}

// Squeeze refuses bulk events of a cgroup that come less than a time apart, beyond a burst, however
// much room there is; 0 ends that. What changes something is refused with all only, critical events
// never. Refused counts them.
func (s *Set) Squeeze(share time.Duration, all bool) error {
	v := uint32(min(max(share, 0), 2*time.Second))
	if all && v > 0 {
		v |= 1 << 31
	}
	s.squeeze.Store(v)
	if err := s.maps[live].Put(uint32(0), [2]uint32{s.Self, s.squeeze.Load()}); err != nil {
		return fmt.Errorf("tell the programs to send less: %w", err)
	}
	return nil
}

// sharedQuota is how many records a second a cgroup may go on making while the bulk ring is
// nearly full.
const sharedQuota = 16384

// quota returns from how many waiting bytes on which records are held to the quota, and the time
// between two records of it.
func (o *Options) quota(lane int) (normal, important, share uint32) {
	const never = ^uint32(0)
	normal, important = uint32(lane/4*3), uint32(lane/8*7)
	switch {
	case o.Quota < 0 || o.Quota == 0 && o.Scoped:
		return never, never, 0
	case o.Quota == 0:
		return normal, important, uint32(time.Second / sharedQuota)
	}
	return 0, important, uint32(max(time.Second/time.Duration(o.Quota), 1))
}

// QuotaKey says whose records were refused, and of which event. Cgroup 0 stands for all that
// found no room in the table.
type QuotaKey struct{ Cgroup, Type uint64 }

// openQuotas makes the entries that must be there when the table is full.
func openQuotas(m *ebpf.Map) error {
	for t := range uint64(Types) {
		if err := m.Update(QuotaKey{Type: t}, uint64(0), ebpf.UpdateNoExist); err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
			return fmt.Errorf("prepare the table of quotas: %w", err)
		}
	}
	return nil
}

// Refused returns how many records were refused so far, by cgroup and event.
func (s *Set) Refused() (map[QuotaKey]uint64, error) {
	out := map[QuotaKey]uint64{}
	var k QuotaKey
	var n uint64
	it := s.maps["hc_quota_lost"].Iterate()
	for it.Next(&k, &n) {
		if n > 0 {
			out[k] = n
		}
	}
	if err := it.Err(); err != nil && !errors.Is(err, ebpf.ErrIterationAborted) {
		return nil, fmt.Errorf("read quotas: %w", err)
	}
	return out, nil
}
