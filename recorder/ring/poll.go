//go:build linux

package ring

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Poller waits for rings. The rings are watched for edges: a wake-up that the kernel sends,
// which it does for rare records and for a ring that is an eighth full. Data that merely lies
// there does not wake it, or it would spin while a program writes slowly.
type Poller struct {
	epoll, event int
	events       [8]unix.EpollEvent
}

// NewPoller watches the given rings.
func NewPoller(rings ...*Ring) (*Poller, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	ev, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(ep)
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	p := &Poller{epoll: ep, event: ev}
	add := func(fd int, mode uint32) {
		if err == nil {
			err = unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | mode, Fd: int32(fd)})
		}
	}
	add(ev, 0)
	for _, r := range rings {
		add(r.fd, unix.EPOLLET)
	}
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("watch ring: %w", err)
	}
	return p, nil
}

// Wait returns when a ring wakes it, Wake is called or the time is over, and says whether it
// was woken.
func (p *Poller) Wait(timeout time.Duration) (bool, error) {
	n, err := unix.EpollWait(p.epoll, p.events[:], int(timeout.Milliseconds()))
	if errors.Is(err, unix.EINTR) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("wait for rings: %w", err)
	}
	for _, e := range p.events[:n] {
		if int(e.Fd) == p.event {
			var b [8]byte
			unix.Read(p.event, b[:])
		}
	}
	return n > 0, nil
}

// Wake ends a Wait, the present or the next one. It may be called from any goroutine.
func (p *Poller) Wake() {
	unix.Write(p.event, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

// Close frees the descriptors. No other method may run then or later.
func (p *Poller) Close() error {
	return errors.Join(unix.Close(p.event), unix.Close(p.epoll))
}
