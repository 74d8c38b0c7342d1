package dataset

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// pieces are what names of lists are made of: words of commerce, mail, tracking and fraud, and syllables of brands.
var pieces = strings.Fields(`ad ads adserver track tracker tracking click clicks pixel stat stats metric metrics analytics beacon count counter
	cdn static img media video news blog shop store buy cheap best top online web site page host cloud app apps mobile phone game games play casino bet slot
	poker loan credit bank pay paypal secure login verify account update support help service services mail email smtp mx ns www api dev test
	free win winner prize gift bonus promo deal deals sale market trade forex crypto coin bitcoin wallet token nft mining invest fund capital
	health med pharm pill drug diet fit beauty skin hair dating date meet love sex cam live chat girl adult tube porn hot red blue green black
	world global inter euro asia china india brasil deutsch franc ital espan russ polska smart fast quick easy super mega ultra max pro plus prime
	data info link net work tech soft ware code system digital design studio group team corp office home house garden auto car moto travel tour hotel
	food pizza coffee wine music radio film movie stream torrent down load file share drive box sync key lock safe guard
	al an ar as ba be bi bo ca ce co da de di do el en er es fa fi ga go ha he hi in is ka ke ki ko la le li lo lu ma me mi mo na ne ni no nu
	on or pa pe pi po ra re ri ro sa se si so ta te ti to tra tri un va ve vi vo xa ya yo za ze zi zo`)

var topLevels = strings.Fields(`com com com com com com com com com com com com net net org org info xyz xyz top top top shop online site club
	ru ru de de uk cn cn br fr it pl nl in io co us eu ca au jp tk ml cf ga live store icu vip app dev pw cc me biz cz se ch at es bond cyou click link
	co.uk com.br com.au co.jp com.cn`)

// realistic makes names like those of published lists: registrable names of one to three words, one in eight of them made by a machine, and hosts
// below some of them. They come in no order and there are some duplicates.
type realistic struct {
	*rand.Rand
	parents []string
}

func newRealistic(seed uint64) *realistic { return &realistic{Rand: rand.New(rand.NewPCG(seed, 1))} }

func (r *realistic) pick(list []string) string { return list[r.IntN(len(list))] }

func (r *realistic) label() string {
	if r.IntN(8) == 0 {
		b := make([]byte, 8+r.IntN(9))
		for i := range b {
			b[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[r.IntN(36)]
		}
		return string(b)
	}
	s := r.pick(pieces) + r.pick(pieces)
	for range r.IntN(3) {
		if r.IntN(4) == 0 {
			s += "-"
		}
		s += r.pick(pieces)
	}
	if r.IntN(10) == 0 {
		s += fmt.Sprint(r.IntN(1000))
	}
	return s
}

func (r *realistic) name() string {
	if len(r.parents) > 100 && r.IntN(10) < 4 {
		p := r.parents[r.IntN(len(r.parents))]
		switch r.IntN(4) {
		case 0:
			return "www." + p
		case 1:
			return fmt.Sprintf("%s%d.%s", r.pick(pieces), r.IntN(100), p)
		case 2:
			return r.pick(pieces) + "." + r.pick(pieces) + "." + p
		}
		return r.label() + "." + p
	}
	n := r.label() + "." + r.pick(topLevels)
	if len(r.parents) < 1<<20 {
		r.parents = append(r.parents, n)
	}
	return n
}

// list is n different names.
func (r *realistic) list(n int) []string {
	seen := make(map[string]bool, n)
	out := make([]string, 0, n)
	for len(out) < n {
		if s := r.name(); !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

const benchNames = 5_000_000

// BenchmarkLookup asks a mapped set of 5,000,000 names for names in random order, each some hundred megabytes of other names after the last time, so
// that little of what it needs is in the processor's caches but the table of symbols.
func BenchmarkLookup(b *testing.B) {
	listed := newRealistic(1).list(benchNames)
	var text bytes.Buffer
	octets := 0
	for _, s := range listed {
		text.WriteString(s)
		text.WriteByte('\n')
		octets += len(s)
	}
	began := processorTime(b)
	compiled, info, err := Build(&text, Options{Value: 1})
	if err != nil {
		b.Fatal(err)
	}
	built := processorTime(b) - began
	path := filepath.Join(b.TempDir(), "list")
	if err := os.WriteFile(path, compiled, 0o600); err != nil {
		b.Fatal(err)
	}
	began = processorTime(b)
	s, err := Open(path)
	if err != nil {
		b.Fatal(err)
	}
	opened := processorTime(b) - began
	b.Logf("%d names of %.1f octets: built in %v and opened in %v of processor time; %d octets, %.2f a name: buckets %.2f, elsewhere %.2f", info.Names,
		float64(octets)/benchNames, built, opened, len(compiled), float64(len(compiled))/benchNames,
		float64(len(s.buckets))/benchNames, float64(len(s.more))/benchNames)

	const asked = 1 << 20
	r := newRealistic(2)
	draw := func(f func() string) []dns.Name {
		out := make([]dns.Name, asked)
		for i := range out {
			out[i] = dns.MustParseName(f())
		}
		return out
	}
	hit := draw(func() string { return listed[r.IntN(benchNames)] })
	parent := draw(func() string { return "www.a." + listed[r.IntN(benchNames)] })
	miss := draw(func() string { return r.label() + "." + r.label() + "x.net" })
	deep := draw(func() string { return "a.b.c.d.e.f." + r.label() + "x.com" })
	for _, c := range []struct {
		what  string
		names []dns.Name
		ask   func(dns.Name) bool
	}{
		{"exact/hit", hit, func(n dns.Name) bool { _, ok := s.Exact(n); return ok }},
		{"exact/miss", miss, func(n dns.Name) bool { _, ok := s.Exact(n); return ok }},
		{"suffix/hit", hit, func(n dns.Name) bool { _, ok := s.Suffix(n); return ok }},
		{"suffix/below", parent, func(n dns.Name) bool { _, ok := s.Suffix(n); return ok }},
		{"suffix/miss", miss, func(n dns.Name) bool { _, ok := s.Suffix(n); return ok }},
		{"suffix/hit/again", hit[:1024], func(n dns.Name) bool { _, ok := s.Suffix(n); return ok }},
		{"suffix/miss/again", miss[:1024], func(n dns.Name) bool { _, ok := s.Suffix(n); return ok }},
		{"suffix/deepmiss", deep, func(n dns.Name) bool { _, ok := s.Suffix(n); return ok }},
	} {
		b.Run(c.what, func(b *testing.B) {
			b.ReportAllocs()
			found := 0
			began := processorTime(b)
			for i := range b.N {
				if c.ask(c.names[i&(len(c.names)-1)]) {
					found++
				}
			}
			b.ReportMetric(float64(processorTime(b)-began)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(found)/float64(b.N), "found/op")
			b.ReportMetric(float64(len(compiled))/benchNames, "octets/name")
		})
	}
	// What the machine takes at least: one word of the same memory, at a place that is not known before the last one has come.
	b.Run("memory", func(b *testing.B) {
		began := processorTime(b)
		x := uint64(1)
		for range b.N {
			at := fold(x) % (s.count * bucketLen / 8)
			x += le.Uint64(s.buckets[at*8:]) + 1
		}
		b.ReportMetric(float64(processorTime(b)-began)/float64(b.N), "cpu-ns/op")
		b.ReportMetric(float64(x&1), "ignore")
	})
	if err := s.Err(); err != nil {
		b.Fatal(err)
	}
}

// processorTime is what this process has used, which on a machine that is shared says more than the time that went by.
func processorTime(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkPrefix asks sets of 5,000,000 prefixes.
func BenchmarkPrefix(b *testing.B) {
	for _, width := range []int{32, 128} {
		r := rand.New(rand.NewPCG(1, 2))
		addr := func() netip.Addr {
			var a [16]byte
			for i := range a {
				a[i] = byte(r.Uint32())
			}
			if width == 32 {
				return netip.AddrFrom4([4]byte(a[:4]))
			}
			a[0], a[1] = 0x20, a[1]&15
			return netip.AddrFrom16(a)
		}
		var text bytes.Buffer
		var starts []netip.Addr
		for range 5_000_000 {
			p, _ := addr().Prefix(width - r.IntN(width/4))
			fmt.Fprintln(&text, p)
			starts = append(starts, p.Addr())
		}
		starts = starts[:1<<20] // in no order, and asked one after the other
		began := time.Now()
		compiled, info, err := Build(&text, Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Logf("%d prefixes: built in %v; %.2f octets each", info.Prefixes, time.Since(began), float64(len(compiled))/float64(info.Prefixes))
		s, err := Load(compiled)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint(width), func(b *testing.B) {
			b.ReportAllocs()
			began := processorTime(b)
			for i := range b.N {
				s.Prefix(starts[i&(len(starts)-1)])
			}
			b.ReportMetric(float64(processorTime(b)-began)/float64(b.N), "cpu-ns/op")
		})
	}
}
