package recurse

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/dns"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what came out into testdata as what is expected")

// TestReplies holds classify and scrub against testdata/replies.txt: a reply in text form, then what it is and what is kept of it.
func TestReplies(t *testing.T) {
	const file = "testdata/replies.txt"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for i, block := range strings.Split(string(text), "\n\n") {
		in, want, _ := strings.Cut(block, "----\n")
		if i == 0 { // the head of the file says how it is written
			out.WriteString(block)
			continue
		}
		in = strings.TrimSpace(in) + "\n"
		got := describeReply(t, in)
		if strings.TrimSpace(want) != strings.TrimSpace(got) && !*update {
			t.Errorf("%s\n%s", in, cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(got)))
		}
		fmt.Fprintf(&out, "\n\n%s----\n%s", in, strings.TrimSuffix(got, "\n"))
	}
	if *update {
		if err := os.WriteFile(file, []byte(out.String()+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// describeReply reads a reply, passes it through the stages and says what came of it.
func describeReply(t *testing.T, in string) string {
	t.Helper()
	a := asked{edns: true}
	var flags dns.Flags
	rcode := dns.RCodeSuccess
	edns := true
	var sections [3][]dns.RR
	section := -1
	for _, line := range strings.Split(strings.TrimSpace(in), "\n") {
		f := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "#"):
		case f[0] == "zone":
			a.zone = dns.MustParseName(f[1])
		case f[0] == "ask":
			typ, err := dns.ParseType(f[2])
			if err != nil {
				t.Fatal(err)
			}
			a.q = dns.Question{Name: dns.MustParseName(f[1]), Type: typ, Class: dns.ClassINET}
		case f[0] == "sent":
			for _, w := range f[1:] {
				switch w {
				case "tcp":
					a.tcp = true
				case "options":
					a.options = true
				case "plain":
					a.edns = false
				case "rd":
					a.recursive = true
				default:
					t.Fatalf("sent %q", w)
				}
			}
		case f[0] == "reply":
			for _, w := range f[1:] {
				switch w {
				case "aa":
					flags |= dns.FlagAA
				case "ra":
					flags |= dns.FlagRA
				case "tc":
					flags |= dns.FlagTC
				case "plain":
					edns = false
				default:
					rcode = parseRCode(t, w)
				}
			}
		case line == "answer:" || line == "authority:" || line == "additional:":
			section = map[string]int{"answer:": 0, "authority:": 1, "additional:": 2}[line]
		default:
			rrs, err := dns.ParseZone(line+"\n", "reply", dns.Root, 10)
			if err != nil || section < 0 {
				t.Fatalf("%q: %v", line, err)
			}
			sections[section] = append(sections[section], rrs...)
		}
	}
	var b dns.Builder
	b.Start(nil, dns.MaxMessageLen, 1, dns.FlagQR|flags|dns.Flags(rcode&15))
	b.Question(a.q)
	for s, rrs := range sections {
		for _, rr := range rrs {
			b.AddRR(dns.Section(s), rr)
		}
	}
	if edns {
		b.OPT(dns.EDNS{UDPSize: 1232, ExtRCode: uint8(rcode >> 4)})
	}
	var m dns.Message
	if err := dns.Parse(b.Finish(), &m); err != nil {
		t.Fatal(err)
	}
	v := classify(&m, a)
	k := scrub(&m, a, v)
	return v.text() + k.text()
}

func parseRCode(t *testing.T, w string) dns.RCode {
	t.Helper()
	for r := range dns.RCode(24) {
		if r.String() == w {
			return r
		}
	}
	t.Fatalf("rcode %q", w)
	return 0
}

func (v verdict) text() string {
	s := v.what.String()
	if v.what == isReferral {
		s += " to " + v.cut.String()
	} else if !v.end.IsZero() {
		s += " at " + v.end.String()
	}
	if v.weak != "" {
		s += ", weak: " + v.weak
	}
	if v.why != "" {
		s += " (" + v.why + ")"
	}
	return s + "\n"
}

func (k *kept) text() string {
	var s strings.Builder
	keep := func(what string, sets ...dns.RRset) {
		for _, set := range sets {
			for rr := range set.RRs() {
				fmt.Fprintf(&s, "keep %s: %s\n", what, strings.ReplaceAll(rr.String(), "\t", " "))
			}
			if n := set.Sigs.Len(); n > 0 {
				fmt.Fprintf(&s, "  with %d signatures\n", n)
			}
		}
	}
	keep("answer", k.chain...)
	keep("soa", k.soa)
	keep("proof", k.proofs...)
	keep("ns", k.ns)
	keep("ds", k.ds)
	keep("glue", k.glue...)
	for _, r := range k.refused {
		fmt.Fprintf(&s, "refuse %v\n", r)
	}
	return s.String()
}
