package node

import (
	"errors"
	"testing"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// A module that blocks everything by mistake is seen by what it says of the root, in whatever form it blocks.
func TestJudged(t *testing.T) {
	servers := []dns.RRset{{Name: dns.Root, Type: dns.TypeNS, Class: dns.ClassINET}}
	root, zone := dns.Question{Name: dns.Root, Type: dns.TypeNS}, dns.Question{Name: dns.MustParseName("corp.example"), Type: dns.TypeSOA}
	for _, c := range []struct {
		q    dns.Question
		out  nameserver.Outcome
		err  error
		want string
	}{
		{root, nameserver.Outcome{Answer: recurse.Answer{Answer: servers}}, nil, ""},
		{root, nameserver.Outcome{Answer: recurse.Answer{Answer: servers}, Ended: true}, nil, ""}, // a module has clamped their TTLs
		{root, nameserver.Outcome{}, nil, ""},                                                     // a forwarder that answers nothing of the root does so without the change, too
		{root, nameserver.Outcome{Ended: true}, nil, ". NS: a module answers that there are none"},
		{root, nameserver.Outcome{Dropped: true}, nil, ". NS: a module drops it"},
		{root, nameserver.Outcome{Answer: recurse.Answer{RCode: dns.RCodeNameError}}, nil, ". NS: NXDOMAIN"},
		{root, nameserver.Outcome{Answer: recurse.Answer{RCode: dns.RCodeRefused}}, nil, ". NS: REFUSED"},
		{zone, nameserver.Outcome{Answer: recurse.Answer{RCode: dns.RCodeNameError}}, nil, ""},
		{zone, nameserver.Outcome{Answer: recurse.Answer{RCode: dns.RCodeServerFailure}}, nil, "corp.example. SOA: SERVFAIL"},
		{zone, nameserver.Outcome{}, errors.New("late"), "corp.example. SOA: no answer in 3s"},
	} {
		got := ""
		if err := judged(c.q, &c.out, c.err); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%+v, %v: %q, want %q", c.out, c.err, got, c.want)
		}
	}
}

// What a probe has failed by reads as a sentence: what is said of each error is told apart from its name, and from the next one.
func TestFailureText(t *testing.T) {
	for want, edes := range map[string][]dns.EDE{
		"SERVFAIL": nil,
		"SERVFAIL (No Reachable Authority: no reply from 192.0.2.1)":                {{Code: dns.EDENoReachable, Text: "no reply from 192.0.2.1"}},
		"SERVFAIL (No Reachable Authority: no reply from 192.0.2.1; Network Error)": {{Code: dns.EDENoReachable, Text: "no reply from 192.0.2.1"}, {Code: dns.EDENetworkError}},
	} {
		if got := failureText(dns.RCodeServerFailure, edes); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
