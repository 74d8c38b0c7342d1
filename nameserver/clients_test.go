package nameserver

import (
	"net/netip"
	"testing"
)

// A crowd is told of once it is one, and again only when it has come again.
func TestCrowd(t *testing.T) {
	var hand handClock
	s, _, _ := warmed(t, &hand)
	limits := Limits{Queries: 2 * Crowd, QueriesPerClient: Crowd}
	told := func() bool {
		select {
		case <-s.Crowded():
			return true
		default:
			return false
		}
	}
	enter := func(n int) {
		for range n {
			if _, limit := s.clients.enter(netip.MustParseAddr("192.0.2.1"), &limits); limit != "" {
				t.Fatal(limit)
			}
		}
	}
	enter(Crowd - 1)
	if told() || s.Waiting() != Crowd-1 {
		t.Errorf("%d are a crowd", s.Waiting())
	}
	enter(1)
	if !told() || s.Waiting() != Crowd {
		t.Errorf("%d are none", s.Waiting())
	}
	if _, limit := s.clients.enter(netip.MustParseAddr("192.0.2.2"), &limits); limit != "" || told() {
		t.Error("one more is another crowd")
	}
}
