//go:build linux

package interop

import (
	"context"
	"encoding/hex"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// reply is what a tool showed.
type reply struct {
	text       string // all of it
	rcode      string
	flags      []string
	question   string // name as the tool showed it
	answer     []dns.RR
	authority  []dns.RR
	additional []dns.RR // without OPT
}

// askTime is how long a tool may take in all. Longer than any resolver may take to fail.
const askTime = time.Minute

// ask runs a tool, whose arguments name the resolver already.
func ask(argv []string) (*reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return parseReply(string(out))
}

var (
	statusOf  = regexp.MustCompile(`(?m)^;; ->>HEADER<<-.*(?:status|rcode): ([A-Za-z0-9]+)`)
	flagsOf   = regexp.MustCompile(`(?mi)^;; flags: ([a-z ]*)`)
	sectionOf = regexp.MustCompile(`^;; ([A-Z]+) (?:PSEUDO)?SECTION:`)
)

// parseReply reads what dig, kdig and drill print. They differ in comments only.
func parseReply(text string) (*reply, error) {
	r := &reply{text: text}
	m := statusOf.FindAllStringSubmatch(text, -1) // the last: a truncated reply may be shown before
	f := flagsOf.FindAllStringSubmatch(text, -1)
	if m == nil || f == nil {
		return nil, fmt.Errorf("there is no reply in: %s", text)
	}
	r.rcode = m[len(m)-1][1]
	r.flags = strings.Fields(f[len(f)-1][1])
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if statusOf.MatchString(line) {
			r.answer, r.authority, r.additional = nil, nil, nil
		}
		if m := sectionOf.FindStringSubmatch(line); m != nil {
			section = m[1]
			continue
		}
		if line == "" {
			section = ""
			continue
		}
		if section == "QUESTION" {
			r.question = strings.Fields(strings.TrimLeft(line, "; "))[0]
		}
		if strings.HasPrefix(line, ";") || section != "ANSWER" && section != "AUTHORITY" && section != "ADDITIONAL" {
			continue
		}
		rr, err := dns.NewRR(line)
		if err != nil || rr == nil {
			return nil, fmt.Errorf("reading record %q: %v", line, err)
		}
		switch section {
		case "ANSWER":
			r.answer = append(r.answer, rr)
		case "AUTHORITY":
			r.authority = append(r.authority, rr)
		default:
			r.additional = append(r.additional, rr)
		}
	}
	return r, nil
}

// tool is one way to ask.
type tool struct {
	name string // dig, kdig, drill
	tcp  bool
}

func (t tool) String() string {
	if t.tcp {
		return t.name + " over TCP"
	}
	return t.name + " over UDP"
}

// oneTool is enough where the answers are looked at, and not how they are sent.
var oneTool = []tool{{"dig", false}}

var allTools = []tool{{"dig", false}, {"dig", true}, {"kdig", false}, {"kdig", true}, {"drill", false}, {"drill", true}}

// command asks for name and type with a tool. Over UDP, a truncated reply is asked for again over TCP.
func (t tool) command(r *resolver, name, qtype string, do bool) []string {
	server, port := "@"+r.addr.Addr().String(), fmt.Sprint(r.addr.Port())
	var argv []string
	switch t.name {
	case "dig":
		argv = []string{"dig", server, "-p", port, "+tries=1", "+time=20", "+nosplit", "+noidnout", "+noidnin"}
		if t.tcp {
			argv = append(argv, "+tcp")
		}
		if do {
			argv = append(argv, "+dnssec")
		}
		return append(argv, "-q", name, "-t", qtype)
	case "kdig":
		argv = []string{"kdig", server, "-p", port, "+retry=0", "+time=20", "+noidn"}
		if t.tcp {
			argv = append(argv, "+tcp")
		}
		if do {
			argv = append(argv, "+dnssec")
		}
		return append(argv, "-q", name, "-t", qtype)
	default:
		argv = []string{"drill", "-p", port}
		if t.tcp {
			argv = append(argv, "-t")
		} else {
			argv = append(argv, "-a")
		}
		if do {
			argv = append(argv, "-D")
		}
		return append(argv, name, server, qtype)
	}
}

// exact is a record without its TTL, in a form that is the same for all spellings of it.
func exact(rr dns.RR) string {
	buf := make([]byte, dns.MaxMsgSize)
	h := rr.Header()
	n, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return rr.String()
	}
	owner := make([]byte, 256)
	m, err := dns.PackDomainName(h.Name, owner, 0, nil, false)
	if err != nil {
		return rr.String()
	}
	return fmt.Sprintf("%s %d %d %s", dns.CanonicalName(h.Name), h.Class, h.Rrtype, hex.EncodeToString(buf[m+10:n]))
}

// folded is key without regard to case. Servers write names in data as pointers into the question, and so in the question's case; with what
// random case a question was asked shows in an answer, unless the resolver takes care of it. Ananas does.
func folded(rr dns.RR) string {
	rr = dns.Copy(rr)
	rr.Header().Ttl = 0
	return strings.ToLower(rr.String())
}

// compare says how records differ from those expected; "" if they don't. A TTL may be lower by what a test can take.
func compare(got, want []dns.RR, key func(dns.RR) string) string {
	var b strings.Builder
	left := slices.Clone(got)
	for _, w := range want {
		i := slices.IndexFunc(left, func(g dns.RR) bool { return key(g) == key(w) })
		if i < 0 {
			fmt.Fprintf(&b, "  missing: %v\n", w)
			continue
		}
		const slack = 60
		if g, w := left[i].Header().Ttl, w.Header().Ttl; g > w || g+slack < w {
			fmt.Fprintf(&b, "  TTL of %d where the zone has %d: %v\n", g, w, left[i])
		}
		left = slices.Delete(left, i, i+1)
	}
	for _, g := range left {
		fmt.Fprintf(&b, "  not expected: %v\n", g)
	}
	return b.String()
}

// chained says what is wrong with the order of an answer: aliases first, each where the last one led, then the records at their end.
func chained(name string, qtype uint16, answer []dns.RR) string {
	cur := dns.CanonicalName(name)
	for _, rr := range answer {
		owner := dns.CanonicalName(rr.Header().Name)
		switch rr := rr.(type) {
		case *dns.RRSIG:
			continue
		case *dns.DNAME:
			if qtype == dns.TypeDNAME && owner == cur {
				continue
			}
			if owner == cur || !dns.IsSubDomain(owner, cur) {
				return fmt.Sprintf("the DNAME at %s is not above %s", owner, cur)
			}
			continue
		case *dns.CNAME:
			if qtype == dns.TypeCNAME || qtype == dns.TypeANY {
				break
			}
			if owner != cur {
				return fmt.Sprintf("the CNAME at %s comes where the chain is at %s", owner, cur)
			}
			cur = dns.CanonicalName(rr.Target)
			continue
		}
		if owner != cur {
			return fmt.Sprintf("records of %s come where the chain is at %s", owner, cur)
		}
	}
	return ""
}
