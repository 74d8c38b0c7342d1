//go:build linux

package interop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// verdict is what a validator makes of a name and type.
type verdict string

const (
	secure   verdict = "secure"
	insecure verdict = "insecure"
	bogus    verdict = "bogus"
)

// asked are a name and type of which validators have an opinion.
type asked struct {
	name  string
	qtype string
	zone  *foreign
}

// thousand lists them: what is there and what is not, in each zone.
func thousand() (all []asked) {
	for _, f := range foreigners() {
		for _, q := range []string{
			"www A", "www AAAA", "www MX", "mail A", "alias A", "far A", "x.w A", "y.z.w TXT", "x.w MX", "x.c A", "a.b.c.ent TXT", "c.ent A", "none A", "none.www A",
			"www.d A", "unsigned DS", "many A", "odd TYPE65280", "srv SRV", "@ DNSKEY", "@ SOA", "@ MX", "@ DS",
		} {
			label, qtype, _ := strings.Cut(q, " ")
			name := f.name()
			if label != "@" {
				name = label + "." + name
			}
			all = append(all, asked{name, qtype, &f})
		}
	}
	return all
}

// validator is a program that validates by itself, with the world's anchor.
type validator struct {
	name    string
	command func(r *resolver, q asked) []string
	read    func(out string) verdict
	// excused are the questions about which it is known to say something else than all others.
	excused []excuse
}

// excuse is where a validator is on its own, and why.
type excuse struct {
	zones, names string // parts of them; "": all
	why          string
}

func (v *validator) excuses(q asked) bool {
	return slices.ContainsFunc(v.excused, func(e excuse) bool {
		return strings.Contains(q.zone.name(), e.zones) && (e.names == "" || strings.HasPrefix(q.name+" "+q.qtype, e.names))
	})
}

// optOut is why some call secure what lies in a span of opt-out.
const optOut = "an answer that relies on opt-out must not have AD (RFC 5155 section 9.2)"

// validators are those of the field that tell of one name at a time. dir has what they are given.
func validators(t *testing.T, dir string) []validator {
	t.Helper()
	f := strings.Fields(inWorld.anchor) // . TTL IN DS tag algorithm digest-type digest
	if len(f) < 8 {
		t.Fatalf("the DS of the root zone: %q", inWorld.anchor)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	static := write("delv.anchors", fmt.Sprintf("trust-anchors { . static-ds %s %s %s %q; };\n", f[4], f[5], f[6], strings.Join(f[7:], "")))
	anchor := write("root.ds", inWorld.anchor+"\n")
	host := write("unbound-host.conf", fmt.Sprintf("server:\n\troot-hints: %q\n\ttrust-anchor-file: %q\n\tdo-not-query-localhost: no\n\tmodule-config: \"validator iterator\"\n\tdo-ip6: no\n",
		hints(t), anchor))
	return []validator{
		{
			name: "delv",
			command: func(r *resolver, q asked) []string {
				return []string{"delv", "@" + r.addr.Addr().String(), "-a", static, "+root=.", "-q", q.name, "-t", q.qtype}
			},
			read: func(out string) verdict {
				switch {
				case strings.Contains(out, "fully validated"):
					return secure
				case strings.Contains(out, "unsigned answer"):
					return insecure
				}
				return bogus
			},
			excused: []excuse{{"optout", "", optOut}},
		},
		{
			name: "unbound-host",
			command: func(_ *resolver, q asked) []string {
				return []string{"unbound-host", "-C", host, "-v", "-t", q.qtype, q.name}
			},
			read: func(out string) verdict {
				switch {
				case strings.Contains(out, "BOGUS"):
					return bogus
				case strings.Contains(out, "(insecure)"):
					return insecure
				case strings.Contains(out, "(secure)"):
					return secure
				}
				return bogus
			},
			excused: []excuse{{"-16-", "", "Debian's Unbound does not know Ed448"}},
		},
		{
			name: "drill -S",
			command: func(r *resolver, q asked) []string {
				return []string{"drill", "-t", "-S", "-k", anchor, "@" + r.addr.Addr().String(), q.name, q.qtype}
			},
			read: func(out string) verdict {
				if strings.Contains(out, "Chase successful") {
					return secure
				}
				return bogus
			},
			excused: []excuse{
				{"", "www.d.", "it does not follow a DNAME"},
				{"optout", "", optOut},
				{"corrupt", "alias.", "it checks an alias, and not what it leads to"},
				{"corrupt", "x.c.", "it checks an alias, and not what it leads to"},
				{"expired", "", "a key that a DS record names is good enough for it, whatever the signature of the key set"},
			},
		},
	}
}

// TestValidatorsAgree: of a thousand names in zones that other tools signed and other servers serve, other validators say what our AD bit and response
// code say.
func TestValidatorsAgree(t *testing.T) {
	w := enterWorld(t)
	dir := t.TempDir()
	anchors := filepath.Join(dir, "anchors")
	if err := os.WriteFile(anchors, []byte(w.anchor+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := startAnanas(t, settings{anchors: anchors})
	all := thousand()
	if len(all) < 1000 {
		t.Fatalf("%d names", len(all))
	}
	ours := make([]verdict, len(all))
	each(len(all), func(i int) { ours[i] = ask1(t, r, all[i]) })
	for i, v := range ours {
		want := secure
		if !all[i].zone.secure() {
			want = bogus
		}
		if v != want && all[i].zone.ill == "" && !(all[i].zone.nsec3 == "optout") {
			t.Errorf("%s %s of a good zone is %s", all[i].name, all[i].qtype, v)
		}
	}
	for _, v := range validators(t, dir) {
		t.Run(v.name, func(t *testing.T) {
			began := time.Now()
			type opinion struct {
				verdict
				out string
			}
			theirs := make([]opinion, len(all))
			each(len(all), func(i int) {
				ctx, cancel := context.WithTimeout(t.Context(), askTime)
				defer cancel()
				argv := v.command(r, all[i])
				out, _ := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput() // some exit with 1 when there is no such data
				theirs[i] = opinion{v.read(string(out)), string(out)}
			})
			excused, shown := 0, 0
			for i, o := range theirs {
				if o.verdict == ours[i] {
					continue
				}
				if v.excuses(all[i]) {
					excused++
					continue
				}
				if shown++; shown <= 20 {
					t.Errorf("%s %s: ananas says %s, %s says %s:\n%s", all[i].name, all[i].qtype, ours[i], v.name, o.verdict, o.out)
				}
			}
			if excused > len(all)/6 {
				t.Errorf("%d of %d are excused: that is no agreement", excused, len(all))
			}
			t.Logf("%d names, %d excused, %d differ, in %v", len(all), excused, shown, time.Since(began).Round(time.Second))
		})
	}
}

// ask1 asks our node, with DO: AD is secure, SERVFAIL is bogus.
func ask1(t *testing.T, r *resolver, q asked) verdict {
	m := new(dns.Msg)
	qtype, ok := dns.StringToType[q.qtype]
	if !ok {
		if _, err := fmt.Sscanf(q.qtype, "TYPE%d", &qtype); err != nil {
			t.Errorf("%q is no type", q.qtype)
		}
	}
	m.SetQuestion(q.name, qtype).SetEdns0(4096, true)
	c := dns.Client{Timeout: askTime}
	a, _, err := c.Exchange(m, r.addr.String())
	if err == nil && a.Truncated {
		c.Net = "tcp"
		a, _, err = c.Exchange(m, r.addr.String())
	}
	switch {
	case err != nil:
		t.Errorf("asking for %s %s: %v", q.name, q.qtype, err)
		return ""
	case a.Rcode == dns.RcodeServerFailure:
		return bogus
	case a.AuthenticatedData:
		return secure
	}
	return insecure
}

// each calls f for 0 to n-1, some at a time.
func each(n int, f func(i int)) {
	var next sync.Mutex
	i := 0
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for {
				next.Lock()
				mine := i
				i++
				next.Unlock()
				if mine >= n {
					return
				}
				f(mine)
			}
		})
	}
	wg.Wait()
}

// The anchors and hints that are built in are those that Debian ships.
func TestBuiltInAsDebian(t *testing.T) {
	for ours, theirs := range map[string]string{"root.ds": "/usr/share/dns/root.ds", "root.hints": "/usr/share/dns/root.hints"} {
		a, err := os.ReadFile(filepath.Join("../../nameserver/recurse", ours))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(theirs)
		if err != nil {
			t.Skip("needs dns-root-data: " + aptLine)
		}
		if got, want := recordsIn(t, a), recordsIn(t, b); !slices.Equal(got, want) {
			t.Errorf("%s has\n%s\nand Debian\n%s", ours, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// recordsIn lists the records of a zone file without their TTLs.
func recordsIn(t *testing.T, text []byte) (out []string) {
	t.Helper()
	p := dns.NewZoneParser(strings.NewReader(string(text)), ".", "")
	p.SetDefaultTTL(1)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		rr.Header().Ttl = 0
		out = append(out, strings.ToLower(rr.String()))
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
