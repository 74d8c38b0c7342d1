//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/test/bench"
)

// spent is what processors were used for while something was measured.
type spent struct {
	server, authority time.Duration
	others            float64 // share of one processor that others took on all that are used
}

// watch begins to watch; the function that it returns ends that, told what the load generator took.
func (b *bout) watch(p *bench.Process) func(load time.Duration) spent {
	began, busy := time.Now(), bench.Busy(b.place.all()...)
	server, authority, own := p.CPU(), bench.CPUOf(b.nsds), bench.OwnTime()
	return func(load time.Duration) spent {
		s := spent{server: p.CPU() - server, authority: bench.CPUOf(b.nsds) - authority}
		ours := s.server + s.authority + load + bench.OwnTime() - own
		s.others = max(0, (bench.Busy(b.place.all()...)-busy-ours).Seconds()/time.Since(began).Seconds())
		return s
	}
}

const (
	quietLook = 250 * time.Millisecond
	quietWait = 10 * time.Second // what takes longer is measured beside, and repeated
)

// awaitQuiet waits until others leave the processors alone, but not for ever.
func (b *bout) awaitQuiet() error {
	for until := time.Now().Add(quietWait); time.Now().Before(until); {
		busy, own := bench.Busy(b.place.all()...), bench.OwnTime()
		if err := b.rig.Sleep(quietLook); err != nil {
			return err
		}
		if (bench.Busy(b.place.all()...)-busy-(bench.OwnTime()-own)).Seconds()/quietLook.Seconds() <= b.rig.Quiet {
			return nil
		}
	}
	return nil
}

// addAddress gives an address of 127/8 to the namespace's interface: named listens at no other.
func (b *bout) addAddress(a netip.Addr) error {
	out, err := exec.CommandContext(b.ctx, "ip", "address", "replace", a.String()+"/32", "dev", "lo").CombinedOutput()
	if err != nil {
		return fmt.Errorf("adding the address %v: %w: %s", a, err, out)
	}
	return nil
}

const startLimit = 20 * time.Second

// awaitAnswer asks for the address of the zone's name server until there is an answer.
func (b *bout) awaitAnswer(p *bench.Process, at netip.AddrPort, zone dns.Name) error {
	ns, err := zone.Child("ns")
	if err != nil {
		return err
	}
	last := errors.New("it was not asked")
	for until := time.Now().Add(startLimit); time.Now().Before(until); {
		if p.Ended() {
			return fmt.Errorf("it ended; it said: %s", p.LastWords())
		}
		if last = answers(at, ns); last == nil {
			return nil
		}
		if err := b.rig.Sleep(20 * time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("no good answer within %v: %w; it said: %s", startLimit, last, p.LastWords())
}

// answers asks once.
func answers(server netip.AddrPort, name dns.Name) error {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	q := dns.Question{Name: name, Type: dns.TypeA, Class: dns.ClassINET}
	if _, err := c.Write(dns.AppendQuestion(nil, 1, dns.FlagRD, q, 0, false, nil)); err != nil {
		return err
	}
	buf := make([]byte, 2048)
	n, err := c.Read(buf)
	if err != nil {
		return err
	}
	var m dns.Message
	if err := dns.Parse(buf[:n], &m); err != nil {
		return err
	}
	if m.RCode() != dns.RCodeSuccess || len(m.Sections[dns.Answer]) == 0 {
		return errors.New(describe(&m))
	}
	return nil
}
