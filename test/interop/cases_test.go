//go:build linux

package interop

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// queryCase is one stanza of a .case file: a question, and what must come back. testdata/README.md has the format.
type queryCase struct {
	line int
	why  string   // the comment above
	argv []string // of "ask": name and type; else the command
	all  bool     // asked by all tools
	do   bool

	rcode     []string // any of these
	flags     []string
	answer    []dns.RR
	anyAnswer bool
	authority []dns.RR
	hasAuth   bool     // authority is given
	has       []string // types that the answer or the authority must have
	match     []*regexp.Regexp
	without   []*regexp.Regexp
	only      string   // "ananas" or "unbound": the other one differs by intent
	fails     []string // resolvers that are known to get it wrong
	tools     []string
}

func (c *queryCase) String() string { return strings.Join(c.argv, " ") }

// readCases reads a file of testdata.
func readCases(t *testing.T, path string) []*queryCase {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []*queryCase
	var c *queryCase
	var why []string
	for n, line := range strings.Split(string(b), "\n") {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest = strings.TrimSpace(rest)
		switch {
		case word == "":
			c, why = nil, nil
		case strings.HasPrefix(word, "#"):
			why = append(why, strings.TrimSpace(strings.TrimLeft(line, "# ")))
		case c == nil:
			c = &queryCase{line: n + 1, why: strings.Join(why, " ")}
			all = append(all, c)
			if err := c.question(word, rest); err != nil {
				t.Fatalf("%s:%d: %v", path, n+1, err)
			}
		default:
			if err := c.expect(word, rest); err != nil {
				t.Fatalf("%s:%d: %v", path, n+1, err)
			}
		}
	}
	for _, c := range all {
		if c.rcode == nil {
			t.Fatalf("%s:%d: no rcode is expected", path, c.line)
		}
	}
	return all
}

func (c *queryCase) question(word, rest string) error {
	f := strings.Fields(rest)
	switch word {
	case "ask":
		if len(f) < 2 {
			return fmt.Errorf("ask NAME TYPE [do]: %q", rest)
		}
		c.all, c.argv, c.do = true, f[:2], slices.Contains(f[2:], "do")
		c.flags = []string{"qr", "rd", "ra"}
	case "dig", "kdig", "drill":
		c.argv = append([]string{word}, f...)
	default:
		return fmt.Errorf("%q: neither ask nor a tool", word)
	}
	return nil
}

func (c *queryCase) expect(word, rest string) error {
	switch word {
	case "rcode":
		c.rcode = strings.Fields(rest)
	case "flags":
		c.flags = strings.Fields(rest)
	case "answer":
		if rest == "..." {
			c.anyAnswer = true
			return nil
		}
		return appendRecord(&c.answer, rest)
	case "authority":
		c.hasAuth = true
		if rest == "none" {
			return nil
		}
		return appendRecord(&c.authority, rest)
	case "has":
		c.has = strings.Fields(rest)
	case "match", "without":
		re, err := regexp.Compile(rest)
		if err != nil {
			return err
		}
		if word == "match" {
			c.match = append(c.match, re)
		} else {
			c.without = append(c.without, re)
		}
	case "only":
		who, _, ok := strings.Cut(rest, ":")
		if !ok || who != "ananas" && who != "unbound" {
			return fmt.Errorf("only ananas: REASON, or only unbound: REASON")
		}
		c.only = who
	case "fails":
		who, _, ok := strings.Cut(rest, ":")
		if !ok {
			return fmt.Errorf("fails RESOLVER...: WHAT IS WRONG")
		}
		c.fails = strings.Fields(who)
	case "tools":
		c.tools = strings.Fields(rest)
	default:
		return fmt.Errorf("%q is none of rcode, flags, answer, authority, has, match, without, only, fails, tools", word)
	}
	return nil
}

func appendRecord(to *[]dns.RR, text string) error {
	rr, err := dns.NewRR(text)
	if err != nil {
		return err
	}
	if rr == nil {
		return fmt.Errorf("no record in %q", text)
	}
	*to = append(*to, rr)
	return nil
}

// commands are the commands that ask the resolver, by what they are called in messages.
func (c *queryCase) commands(r *resolver, tools []tool) map[string][]string {
	m := make(map[string][]string)
	if !c.all {
		m[c.String()] = append([]string{c.argv[0], "@" + r.addr.Addr().String()}, c.argv[1:]...)
		return m
	}
	for _, t := range tools {
		if c.tools == nil || slices.Contains(c.tools, t.name) {
			m[t.String()] = t.command(r, c.argv[0], c.argv[1], c.do)
		}
	}
	return m
}

// check says what is wrong with a reply; "" if nothing is.
func (c *queryCase) check(r *reply, key func(dns.RR) string) string {
	var b strings.Builder
	if !slices.Contains(c.rcode, r.rcode) {
		fmt.Fprintf(&b, "  rcode is %s, want %s\n", r.rcode, strings.Join(c.rcode, " or "))
	}
	if c.flags != nil && !slices.Equal(r.flags, c.flags) {
		fmt.Fprintf(&b, "  flags are %v, want %v\n", r.flags, c.flags)
	}
	answer, authority := r.answer, r.authority
	if c.all {
		if c.do {
			var signed, signedToo bool
			answer, signed = withoutSigs(&b, answer)
			authority, signedToo = withoutSigs(&b, authority)
			if want := slices.Contains(c.has, "RRSIG"); want != (signed || signedToo) {
				fmt.Fprintf(&b, "  signatures are there: %v, want %v\n", !want, want)
			}
		} else if slices.ContainsFunc(slices.Concat(answer, authority), isDNSSEC) && !isDNSSEC(&dns.ANY{Hdr: dns.RR_Header{Rrtype: c.qtype()}}) {
			b.WriteString("  records of DNSSEC are there, which were not asked for (RFC 3225 section 3)\n")
		}
		if !strings.EqualFold(r.question, dns.Fqdn(c.argv[0])) || r.question != dns.Fqdn(c.argv[0]) && !strings.Contains(c.argv[0], `\`) {
			fmt.Fprintf(&b, "  the question came back as %q\n", r.question)
		}
		if s := chained(c.argv[0], c.qtype(), r.answer); s != "" {
			fmt.Fprintf(&b, "  %s\n", s)
		}
	}
	if !c.anyAnswer {
		b.WriteString(compare(answer, c.answer, key))
	}
	if c.hasAuth {
		plain := slices.DeleteFunc(slices.Clone(authority), isDNSSEC)
		b.WriteString(compare(plain, c.authority, key))
	}
	for _, h := range c.has {
		if !slices.ContainsFunc(slices.Concat(r.answer, r.authority), func(rr dns.RR) bool { return dns.TypeToString[rr.Header().Rrtype] == h }) {
			fmt.Fprintf(&b, "  there is no %s\n", h)
		}
	}
	text := commandOf.ReplaceAllString(r.text, "")
	for _, re := range c.match {
		if !re.MatchString(text) {
			fmt.Fprintf(&b, "  nothing matches %s\n", re)
		}
	}
	for _, re := range c.without {
		if s := re.FindString(text); s != "" {
			fmt.Fprintf(&b, "  %q is there\n", s)
		}
	}
	return b.String()
}

// commandOf is the line in which dig repeats its arguments.
var commandOf = regexp.MustCompile(`(?m)^; <<>>.*$`)

func (c *queryCase) qtype() uint16 {
	if t, ok := dns.StringToType[c.argv[1]]; ok {
		return t
	}
	var t uint16
	if _, err := fmt.Sscanf(c.argv[1], "TYPE%d", &t); err != nil {
		return dns.TypeNone
	}
	return t
}

// isDNSSEC tells whether a record is one that is only sent to those who ask for it, or for DNSSEC.
func isDNSSEC(rr dns.RR) bool {
	switch rr.Header().Rrtype {
	case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3:
		return true
	}
	return false
}

// withoutSigs takes the signatures out of a section, and complains of sets of which only some are signed: a CNAME made from a DNAME, and
// nothing else, has none in a signed answer.
func withoutSigs(b *strings.Builder, section []dns.RR) (rest []dns.RR, signed bool) {
	type set struct {
		name string
		t    uint16
	}
	covered := make(map[set]bool)
	for _, rr := range section {
		if s, ok := rr.(*dns.RRSIG); ok {
			covered[set{dns.CanonicalName(s.Hdr.Name), s.TypeCovered}] = true
			continue
		}
		rest = append(rest, rr)
	}
	sets := make(map[set]bool)
	for _, rr := range rest {
		sets[set{dns.CanonicalName(rr.Header().Name), rr.Header().Rrtype}] = true
	}
	for s := range covered {
		if !sets[s] {
			fmt.Fprintf(b, "  a signature of %s %s comes without what it signs\n", s.name, dns.TypeToString[s.t])
		}
	}
	return rest, len(covered) > 0
}
