package scenarios

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/ananas-edge/ananas/dns"
)

// internet is a generated world; %s is what is wrong with it, and how the node resolves in it. The server of the last section knows
// every zone.
const internet = `The lab's own internet.
-- world --
[generate zones=1000 hosts=4000]
[defaults]
latency 10ms..80ms
jitter 20%%
%s
[server 10.0.0.99]
recursive
-- settings --
%s
-- steps --
`

// weather is what a resolver meets on a common day.
const weather = `loss 2%
lame 5%
fault drop of=2%
fault no-edns of=3%
fault formerr when=edns of=2%
fault lower-case of=3%
fault cookies of=30%
fault verbose of=40%
fault truncate rate=2%
fault garbage rate=1%
fault wrong-id rate=1%
fault delay by=2s rate=1%
fault ent-nxdomain of=3%
fault refused when=intermediate of=2%`

const (
	internetNames   = 1500
	internetClients = 20 // that ask at a time

	// mayFail is how many names may have no answer: of a zone's two servers one may be lame and the other dead (2 * 5 % * 2 % of the zones), and
	// a popular name counts with all its neighbours.
	mayFail = internetNames / 50
)

// TestInternet resolves the popular names of an internet where much goes wrong, many at a time. Whatever is answered is what a forwarder that
// knows every zone answers in the same internet on a day when nothing does.
func TestInternet(t *testing.T) {
	truth := resolveAll(t, fmt.Sprintf(internet, "", "forward:\n  - zone: .\n    servers: [10.0.0.99]"))
	got := resolveAll(t, fmt.Sprintf(internet, weather, ""))
	failed := 0
	for i := range min(len(truth), len(got)) {
		switch {
		case strings.Contains(got[i], "SERVFAIL"):
			failed++
			t.Log(got[i])
		case got[i] != truth[i]:
			t.Errorf("this was answered\n%s\nand this is true\n%s", got[i], truth[i])
		}
	}
	if len(truth) < internetNames || failed > mayFail {
		t.Errorf("of %d names %d have no answer", len(got), failed)
	}
}

// resolveAll asks for the lab's most popular names, and for some that are not there, and returns what came for each.
func resolveAll(t *testing.T, text string) []string {
	s, err := parse("internet.scn", text)
	if err != nil {
		t.Fatal(err)
	}
	var answers []string
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p := &play{t: t, s: s, folder: folder}
		if err := p.open(*seed, nil); err != nil {
			t.Fatal(err)
		}
		defer p.close()
		names := p.lab.Names(internetNames)
		answers = make([]string, len(names))
		turns := make(chan struct{}, internetClients)
		var clients sync.WaitGroup
		for i, name := range names {
			turns <- struct{}{}
			clients.Go(func() {
				defer func() { <-turns }()
				answers[i] = p.resolve(name, i)
			})
		}
		clients.Wait()
		p.checkEnd()
	})
	return answers
}

// resolve asks for a name over TCP, and writes the answer in a form that can be compared.
func (p *play) resolve(name dns.Name, i int) string {
	question := name.String()
	types := []string{"A", "AAAA", "MX", "A", "DS", "TYPE65280"}
	if i%7 == 0 {
		question = "no-" + question
	}
	question += " " + types[i%len(types)]
	a, err := parseAsk(&step{args: append(strings.Fields(question), "+tcp"), want: []want{{text: "any", words: []string{"any"}}}})
	if err != nil {
		return err.Error()
	}
	r := p.client(a, 1)
	if r.msg == nil || len(r.odd) > 0 {
		p.t.Errorf("%s: %v", question, r.odd)
		return ""
	}
	lines := []string{question + " " + rcodeName(r.msg)}
	for _, rr := range r.msg.Answer {
		lines = append(lines, show(rr, false))
	}
	slices.Sort(lines[1:])
	if r.msg.Rcode == int(dns.RCodeServerFailure) {
		for _, e := range edes(r.msg) {
			lines = append(lines, e.ExtraText)
		}
	}
	return strings.Join(lines, "\n")
}
