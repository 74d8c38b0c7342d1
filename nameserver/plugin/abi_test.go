package plugin

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/ananas-edge/ananas/dns"
)

// What the loops let pass is what the long way lets go on: they may give nothing that it would not.
func TestGoesOnIsAVerdict(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	owner := dns.MustParseName("x.test")
	passed := 0
	for range 200_000 {
		b := make([]byte, []int{0, 5, verdictHead, verdictHead + 1, verdictHead + 4}[r.IntN(5)])
		if len(b) > 0 {
			b[0] = verdictHead
		}
		for range r.IntN(4) {
			if len(b) > 0 {
				b[r.IntN(len(b))] = []byte{0, 1, 2, 3, 4, verdictHead, verdictHead + 4, 255}[r.IntN(8)]
			}
		}
		v, err := parseVerdict(b, owner)
		tag, ok := goesOn(b)
		if want := err == nil && v.Action == GoOn && !v.Bypass && v.Group == ""; ok != want || ok && printable(tag) != v.Tag {
			t.Fatalf("%x: it passes %v with tag %q; the long way says %+v, %v", b, ok, tag, v, err)
		}
		if ok && len(b) > 0 {
			passed++
		}
	}
	if passed == 0 {
		t.Error("none passes")
	}
}

// A verdict that is kept for all must not follow from how one of them asks.
func TestPureSeesNoFlags(t *testing.T) {
	q := Query{Name: owner(), Type: dns.TypeA, Flags: dns.FlagRD | dns.FlagAD | dns.FlagCD, DO: true, Transport: 3}
	plain := Query{Name: owner(), Type: dns.TypeA}
	if got, want := string(q.appendQuery(nil, seesNobody)), string(plain.appendQuery(nil, seesNobody)); got != want {
		t.Errorf("it sees %x", got)
	}
	q.Tenant = "office"
	if got := q.appendQuery(nil, seesNobody); string(got) != string(plain.appendQuery(nil, seesNobody)) {
		t.Errorf("it sees %x of a client with a tenant", got)
	}
	if got := q.appendQuery(nil, seesPrefix); got[12] != 6 || string(got[queryHead+len(q.Name):]) != "office" {
		t.Errorf("others see %x of a tenant", got)
	}
	if got := q.appendQuery(nil, seesPrefix); got[2] != 3 || got[3] != askRD|askCD|askAD|askDO {
		t.Errorf("others see %x", got)
	}
}

// What is written down for modules of phase log has the tenant behind the name, and the tags behind that.
func TestLineHasTheTenant(t *testing.T) {
	l := Line{Type: dns.TypeA, Tenant: "office", Tag: "seen"}
	l.NameLen = uint8(copy(l.Name[:], owner()))
	b := l.appendLine(nil, seesPrefix)
	want := string(owner()) + "office" + "seen"
	if got := string(b[4+logHead+queryHead:]); got != want || b[4+20] != byte(queryHead+len(owner())+6) || b[4+22] != 4 {
		t.Errorf("behind the fixed parts stands %q, want %q: %x", got, want, b)
	}
	if got := string(l.appendLine(nil, seesNobody)[4+logHead+queryHead:]); got != string(owner())+"seen" {
		t.Errorf("who sees nobody is shown %q", got)
	}
}

func owner() []byte { return []byte("\x01x\x04test\x00") }

// What several have said before one was busy is what they are taken to have said.
func TestSaidBySeveral(t *testing.T) {
	use := new(Use)
	one, other, third := &runner{loaded: new(loaded), use: use}, &runner{loaded: new(loaded), use: use}, &runner{loaded: new(loaded), use: use}
	fault := errors.New("it trapped")
	s := &Said{heard: []heardOf{{one, saying{err: fault}}, {other, saying{v: Verdict{Tag: "guest"}}}}}
	for k, c := range []struct {
		r    *runner
		want saying
		ok   bool
	}{{one, saying{err: fault}, true}, {other, saying{v: Verdict{Tag: "guest"}}, true}, {third, saying{}, false}} {
		if got, ok := s.of(c.r); ok != c.ok || ok && (got.err != c.want.err || got.v.Tag != c.want.v.Tag) {
			t.Errorf("%d: %v, %v", k, got, ok)
		}
	}
}
