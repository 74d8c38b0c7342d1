package lab

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/ananas-edge/ananas/dns"
)

var update = flag.Bool("update", false, "write what the lab answers into testdata/answers, to be read before it is committed")

// Files in testdata/answers begin with a world. Each file section is a question, "ask SERVER NAME TYPE how...", with the packets that come
// back. In signed zones each signature and each denial is checked besides.
func TestAnswers(t *testing.T) {
	files, err := filepath.Glob("testdata/answers/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no answers in testdata: %v", err)
	}
	shown := map[string]bool{"tcp-refuse": true, "tcp-silent": true} // these two meet connections: memory_test.go
	defer func() {
		for name := range kinds {
			if !shown[name] {
				t.Errorf("no file shows the fault %q", name)
			}
		}
	}()
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			l := newLab(t, string(archive.Comment))
			w := &walker{t, l, map[string][]*miekg.DNSKEY{}}
			for i, f := range archive.Files {
				got := w.transcript(f.Name)
				if *update {
					archive.Files[i].Data = []byte(got)
				} else if got != string(f.Data) {
					t.Errorf("%s\ngot:\n%s\nwant:\n%s", f.Name, got, f.Data)
				}
			}
			for name := range l.Stats().Faults {
				shown[name] = true
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// transcript asks as the words say and writes down what comes.
func (w *walker) transcript(question string) string {
	w.t.Helper()
	words := strings.Fields(question)
	if len(words) < 4 || words[0] != "ask" {
		w.t.Fatalf("%q is not \"ask SERVER NAME TYPE how...\"", question)
	}
	qtype, ok := miekg.StringToType[words[3]]
	if !ok {
		n, err := strconv.ParseUint(strings.TrimPrefix(words[3], "TYPE"), 10, 16)
		if err != nil {
			w.t.Fatalf("%q: unknown type", question)
		}
		qtype = uint16(n)
	}
	var hows []how
	do := false
	for _, word := range words[4:] {
		key, value, _ := strings.Cut(word, "=")
		n, _ := strconv.ParseUint(value, 10, 16)
		switch key {
		case "do":
			do = true
		case "co":
			hows = append(hows, func(m *miekg.Msg, _ *asking) { m.IsEdns0().SetCo(true) })
		case "plain":
			hows = append(hows, plain)
		case "tcp":
			hows = append(hows, overTCP)
		case "size":
			hows = append(hows, size(uint16(n)))
		case "version":
			hows = append(hows, func(m *miekg.Msg, _ *asking) { m.IsEdns0().SetVersion(uint8(n)) })
		case "class":
			hows = append(hows, func(m *miekg.Msg, _ *asking) { m.Question[0].Qclass = uint16(n) })
		case "opcode":
			hows = append(hows, func(m *miekg.Msg, _ *asking) { m.Opcode = int(n) })
		case "option":
			hows = append(hows, option(&miekg.EDNS0_LOCAL{Code: uint16(n), Data: []byte("data")}))
		case "cookie":
			hows = append(hows, option(&miekg.EDNS0_COOKIE{Code: miekg.EDNS0COOKIE, Cookie: value}))
		case "since":
			d, err := time.ParseDuration(value)
			if err != nil {
				w.t.Fatal(err)
			}
			hows = append(hows, after(d))
		default:
			w.t.Fatalf("%q: unknown word %q", question, word)
		}
	}
	if !do && !slices.Contains(words, "plain") {
		hows = append([]how{noDO}, hows...)
	}
	x := exchangeOf(w.t, w.lab, words[1], words[2], qtype, hows...)
	if x == nil {
		return "nothing\n"
	}
	var b strings.Builder
	if x.wait > 0 {
		fmt.Fprintf(&b, "waits %v\n", x.wait)
	}
	packets := x.packets()
	for i, p := range packets {
		if i >= 3 {
			fmt.Fprintf(&b, "and %d more\n", len(packets)-i)
			break
		}
		b.WriteString(w.show(x, p))
	}
	if x.hang {
		b.WriteString("closes\n")
	}
	if x.drip > 0 {
		fmt.Fprintf(&b, "an octet each %v\n", x.drip)
	}
	if do && len(packets) == 1 {
		w.prove(x, packets[0].data)
	}
	return b.String()
}

// show writes a packet: what is not as it should be first, then the header, then the sections.
func (w *walker) show(x *exchange, p packet) string {
	var b strings.Builder
	if p.from != netip.AddrPortFrom(x.server.addr, port) {
		fmt.Fprintf(&b, "from %v\n", p.from)
	}
	if p.after != x.early {
		fmt.Fprintf(&b, "after %v\n", p.after-x.early)
	}
	r := new(miekg.Msg)
	if err := r.Unpack(p.data); err != nil {
		fmt.Fprintf(&b, "unreadable, %d octets\n", len(p.data))
		return b.String()
	}
	if r.Id != x.q.id {
		fmt.Fprintln(&b, "wrong id")
	}
	fmt.Fprint(&b, dns.RCode(r.Rcode))
	for _, f := range []struct {
		set  bool
		name string
	}{{r.Authoritative, "aa"}, {r.Truncated, "tc"}, {r.RecursionAvailable, "ra"}} {
		if f.set {
			fmt.Fprint(&b, " ", f.name)
		}
	}
	if opt := r.IsEdns0(); opt != nil {
		fmt.Fprintf(&b, " edns=%d", opt.UDPSize())
		if opt.Co() {
			fmt.Fprint(&b, " co")
		}
		for _, o := range opt.Option {
			fmt.Fprintf(&b, " option=%d", o.Option())
			if c, ok := o.(*miekg.EDNS0_COOKIE); ok {
				fmt.Fprintf(&b, "/%s../%d", c.Cookie[:2], len(c.Cookie)/2)
			}
		}
	}
	fmt.Fprintln(&b)
	if len(r.Question) != 1 || !bytes.HasPrefix(p.data[headerLen:], x.q.sent) {
		fmt.Fprintln(&b, "question", r.Question)
	}
	for i, section := range [][]miekg.RR{r.Answer, r.Ns, r.Extra} {
		if text := show(section); text != "" {
			fmt.Fprintf(&b, "%s:\n%s", []string{"answer", "authority", "additional"}[i], text)
		}
	}
	return b.String()
}

// prove checks the signatures and the denial in a reply.
func (w *walker) prove(x *exchange, data []byte) {
	w.t.Helper()
	r := unpack(w.t, data)
	z := x.zone()
	if z == nil || z.signing.off() || z.signing.flaw != flawNone || r.Truncated || len(x.faults) > 0 {
		return
	}
	exempt := func(rr miekg.RR) bool {
		switch rr := rr.(type) {
		case *miekg.NS:
			return true // of a delegation, or else it has been checked as an answer
		case *miekg.CNAME: // made from a DNAME
			return slices.ContainsFunc(r.Answer, func(d miekg.RR) bool {
				return d.Header().Rrtype == miekg.TypeDNAME && miekg.IsSubDomain(d.Header().Name, rr.Hdr.Name)
			})
		}
		return false
	}
	w.verify(r.Answer, exempt)
	w.verify(r.Ns, exempt)
	if len(r.Answer) == 0 && (r.Authoritative || !slices.ContainsFunc(r.Ns, func(rr miekg.RR) bool { return rr.Header().Rrtype == miekg.TypeDS })) {
		qname, qtype := x.q.name.String(), uint16(x.q.qtype)
		if !r.Authoritative {
			qname, qtype = r.Ns[0].Header().Name, miekg.TypeDS
		}
		checkDenial(w.t, r, qname, qtype, z.apex.String())
	}
}
