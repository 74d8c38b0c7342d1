package node

import (
	"testing"

	"github.com/ananas-edge/ananas/dns"
)

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
