package rollover

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/dns"
)

// begin is Begin for a zone of which nothing is known.
func begin(t testing.TB, anchors ...string) Point {
	t.Helper()
	p, _ := Begin(anchorsOf(t, anchors), Point{}, start, checks(t))
	return p
}

func daily(at time.Time) signing { return signing{at: at, ttl: 172800, life: 21 * 24 * time.Hour} }

// A newcomer of an algorithm that can't be validated is of no use, and not watched.
func TestUnsupportedAlgorithm(t *testing.T) {
	p := begin(t, "ds:A")
	a, b := newKey("A"), newKey("B")
	for _, algorithm := range []uint8{1, 5, 12, 250} {
		b.rr.Algorithm = algorithm
		set := &dns.RRset{Name: zoneName, Type: dns.TypeDNSKEY, Class: dns.ClassINET, TTL: 172800, Data: dns.Records{}.Append(a.data()).Append(b.data())}
		sig := &miekg.RRSIG{
			Hdr: miekg.RR_Header{Name: zone, Ttl: 172800}, Algorithm: miekg.ED25519, KeyTag: a.tag(), SignerName: zone,
			Inception: uint32(start.Unix()), Expiration: uint32(start.Add(time.Hour).Unix()),
		}
		if err := sig.Sign(a.private, []miekg.RR{a.rr, b.rr}); err != nil {
			t.Fatal(err)
		}
		set.Sigs = dns.Records{}.Append(rdata(sig))
		next, changes, err := p.See(set, start, checks(t))
		if err != nil || len(changes) != 1 || len(next.Keys) != 1 {
			t.Errorf("algorithm %d: %v, %v", algorithm, changes, err)
		}
	}
}

// The anchors of a zone that can't be followed are told, and change nothing.
func TestUnsupportedAnchor(t *testing.T) {
	a := anchorsOf(t, []string{"ds:A"})
	a.DS[2+2] = 99 // the algorithm
	p, _ := Begin(a, Point{}, start, checks(t))
	next, changes, err := p.See(keySet(t, daily(start), []string{"A"}, []string{"A"}), start, checks(t))
	if err == nil || !strings.Contains(err.Error(), "is not supported") || len(changes) != 0 || len(next.Keys) != 0 {
		t.Errorf("%v, %v", changes, err)
	}
}

// A clock that shows no year of this world decides nothing.
func TestClockBeyondTime(t *testing.T) {
	p := begin(t, "ds:A")
	for _, at := range []time.Time{{}, time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if _, changes, err := p.See(keySet(t, daily(start), []string{"A"}, []string{"A"}), at, checks(t)); err == nil || changes != nil {
			t.Errorf("%v: %v", at, changes)
		}
	}
}

// What is gone is forgotten when there is too much of it, but never what the settings name.
func TestRemovedKeysAreForgotten(t *testing.T) {
	p := begin(t, "ds:A", "ds:Z")
	named, root := newKey("A"), newKey("b")
	p.Keys = []Key{{Data: root.data(), State: Removed}, {Data: named.data(), State: Removed}}
	p.Keys = append(p.Keys, Key{Data: newKey("Z").data(), State: Valid, Roots: []ID{p.id(&p.Keys[0])}})
	for i := range 2 * MaxRemoved {
		k := newKey("R")
		k.rr.PublicKey = toBase64(fmt.Appendf(nil, "%032d", i))
		p.Keys = append(p.Keys, Key{Data: k.data(), State: Removed})
	}
	p.makeRoom(checks(t))
	if got := len(p.Keys) - p.live(); got != MaxRemoved {
		t.Errorf("%d are remembered", got)
	}
	for _, k := range []*key{named, root, newKey("Z")} {
		if p.find(k.data()) < 0 {
			t.Errorf("key %d is forgotten", k.tag())
		}
	}
	if last := p.Keys[len(p.Keys)-1]; p.find(last.Data) < 0 || string(last.Data[4:]) != fmt.Sprintf("%032d", 2*MaxRemoved-1) {
		t.Error("not the oldest are forgotten")
	}
}

// More anchors than can be watched are used all the same.
func TestTooManyAnchors(t *testing.T) {
	var words []string
	for c := 'A'; c <= 'Y'; c++ {
		words = append(words, "key:"+string(c))
	}
	a := anchorsOf(t, words)
	p, _ := Begin(a, Point{}, start, checks(t))
	if !TooMany(a) || TooMany(anchorsOf(t, words[:MaxKeys])) || p.Trusted().DNSKEY.Len() != len(words) {
		t.Errorf("%d of %d are trusted", p.Trusted().DNSKEY.Len(), len(words))
	}
}

// A zone that shows anything, at any time, in any order. Whatever it does:
//
//   - a key becomes trusted only if the settings name it, or if it was in sets over a month, each signed by a key that was trusted then
//   - a key that has revoked itself is never trusted again
//   - the state can be written and read at any time
//
// The model knows nothing of states: it keeps the history.
func TestRandomZones(t *testing.T) {
	const letters = "ABCDEFGh"
	accepted, revoked := 0, 0
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 5011))
		c, now := checks(t), start
		settings := []string{"ds:A", "key:B"}
		p := begin(t, settings...)
		since := map[string]time.Duration{} // how long a key is in all good sets; -1: it was not in the last one
		was, gone := map[string]bool{}, map[string]bool{}
		last, interval := time.Time{}, time.Duration(0)
		for range 250 {
			switch rng.IntN(80) {
			case 0:
				now = now.Add(time.Duration(rng.IntN(800)-400) * 24 * time.Hour)
			case 1:
				text, err := encode([]Point{p})
				if err != nil {
					t.Fatal(err)
				}
				back, err := decode(text)
				if err != nil {
					t.Fatal(err)
				}
				p, _ = Begin(anchorsOf(t, settings), back[0], now, c)
			default:
				now = now.Add(time.Duration(1+rng.IntN(40)) * time.Hour)
			}
			var shown, by []string
			for _, l := range strings.Split(letters, "") {
				switch n := rng.IntN(1000); {
				case n < 985 && !gone[l]:
					shown = append(shown, l)
				case n < 990 && n >= 985 && seed%3 == 0:
					shown = append(shown, l+"!")
				}
			}
			for _, name := range shown {
				if rng.IntN(3) > 0 || strings.HasSuffix(name, "!") && rng.IntN(2) > 0 {
					by = append(by, name)
				}
			}
			set := keySet(t, daily(now), shown, by)
			next, _, err := p.See(set, now, c)

			for _, name := range by {
				if l, is := strings.CutSuffix(name, "!"); is && (was[l] || l == "A" || l == "B") && !gone[l] {
					gone[l], was[l] = true, false
					revoked++
				}
			}
			good := slices.ContainsFunc(by, func(name string) bool { return was[name] || (name == "A" || name == "B") && !gone[name] })
			if good != (err == nil) {
				t.Fatalf("seed %d: %v by %v is good: %v, %v", seed, shown, by, good, err)
			}
			if good {
				step := min(max(now.Sub(last), 0), interval)
				for _, l := range strings.Split(letters, "") {
					switch {
					case !slices.Contains(shown, l):
						since[l] = -1
					case since[l] < 0 || last.IsZero():
						since[l] = 0
					default:
						since[l] += step
					}
				}
				last, interval = now, 24*time.Hour
			}
			for _, l := range strings.Split(letters, "") {
				i := next.find(newKey(l).data())
				trusted := i >= 0 && next.Keys[i].State.Trusted() || next.Trusted().DNSKEY.Contains(newKey(l).data())
				if i >= 0 && trusted != next.Trusted().names(newKey(l).data(), c) {
					t.Fatalf("seed %d: %s is %v, and does not count as that", seed, l, next.Keys[i].State)
				}
				named := (l == "A" || l == "B") && !gone[l]
				switch {
				case trusted && gone[l]:
					t.Fatalf("seed %d: %s is revoked, and trusted", seed, l)
				case trusted && !was[l] && !named && (!good || since[l] < AddHold || l == "h"):
					t.Fatalf("seed %d: %s is trusted after %v", seed, l, since[l])
				case !trusted && was[l]:
					t.Fatalf("seed %d: %s is not trusted any more", seed, l)
				}
				if trusted && !was[l] && !named {
					accepted++
				}
				was[l] = trusted
			}
			p = next
		}
	}
	if t.Logf("%d accepted, %d revoked", accepted, revoked); accepted < 3 || revoked < 3 {
		t.Error("that shows little")
	}
}
