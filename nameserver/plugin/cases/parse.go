package cases

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/plugin"
)

// maxCases is how many cases a file may have: a run of each takes a millisecond at most, unless it has settings of its own.
const maxCases = 10_000

// File is one with cases.
type File struct {
	Name  string
	Cases []*Case

	lines []string
}

// Case is a query, and what is to be said of it; or what was answered, and what is to be done of it.
type Case struct {
	Line     int // of the query, from 1
	Settings map[string]string
	Query    plugin.Query
	Question dns.Question
	Reply    *plugin.Reply // nil: it is of phase query, or log
	Lines    []plugin.Line // not nil: it is of phase log, and there is no query
	Want     Outcome

	resolved []dns.RR // what the module finds when it asks
	from, to int      // lines of the verdict, from 0
}

// Phase is the one that the case is of.
func (c *Case) Phase() plugin.Phase {
	switch {
	case c.Lines != nil:
		return plugin.PhaseLog
	case c.Reply != nil:
		return plugin.PhaseAnswer
	}
	return plugin.PhaseQuery
}

// String is the question; of phase log the first, and how many there are behind it.
func (c *Case) String() string {
	if more := len(c.Lines) - 1; more > 0 {
		return fmt.Sprintf("%v %v and %d more", c.Question.Name, c.Question.Type, more)
	}
	return fmt.Sprintf("%v %v", c.Question.Name, c.Question.Type)
}

// The clock and the randomness of all cases.
const (
	now  = 1767225600e9 // 2026-01-01
	seed = 1
)

// maxTag is how long the tag of a tenant may be, in octets.
const maxTag = 63

// Parse reads a file. The error names the line.
func Parse(name, text string) (*File, error) {
	f := &File{Name: name, lines: strings.Split(text, "\n")}
	standing := map[string]string{}
	for at := 0; at < len(f.lines); {
		if blank(f.lines[at]) {
			at++
			continue
		}
		end := at
		for end < len(f.lines) && strings.TrimSpace(f.lines[end]) != "" {
			end++
		}
		c, line, err := f.block(at, end, standing)
		if err != nil {
			return nil, hinted{fmt.Errorf("%s:%d: %w", name, line+1, err), "ananas module test --help shows how cases are written"}
		}
		if c.Line == 0 {
			standing = c.Settings
		} else if f.Cases = append(f.Cases, c); len(f.Cases) > maxCases {
			return nil, fmt.Errorf("%s: more than %d cases", name, maxCases)
		}
		at = end
	}
	return f, nil
}

func blank(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || strings.HasPrefix(line, "#")
}

// block reads the lines from at to end. Without a query it is one of settings.
func (f *File) block(at, end int, standing map[string]string) (c *Case, line int, err error) {
	c = &Case{Settings: maps.Clone(standing), Query: plugin.Query{Now: now, Seed: seed}}
	for line = at; line < end; line++ {
		if blank(f.lines[line]) {
			continue
		}
		word, rest, _ := strings.Cut(strings.TrimSpace(f.lines[line]), " ")
		rest = strings.TrimSpace(rest)
		switch {
		case word == "->":
			c.from, c.to = line, end
			c.Want, err = parseOutcome(rest, f.lines[line+1:end])
			switch {
			case err != nil:
			case c.Line == 0:
				err = errors.New("a verdict, and no query before it")
			case c.Lines == nil && c.Want.Seen != nil:
				err = errors.New("done is what comes of lines that begin with logged; of a query there is a verdict")
			case c.Lines != nil && c.Want.Seen == nil && c.Want.Fault == "":
				err = errors.New("of what was logged there is no verdict; it is done, or a fault")
			}
			return c, line, err
		case word == "settings":
			key, value, ok := strings.Cut(rest, "=")
			if !ok || key == "" {
				return c, line, errors.New("settings are written KEY=VALUE, one a line")
			}
			c.Settings[key] = value
		case word == "logged":
			if c.Line == 0 {
				c.Line = line + 1
			}
			err = c.logged(rest)
		case c.Lines != nil:
			err = fmt.Errorf("%q, and lines of what was logged: a case has nothing else beside these but settings", word)
		case word == "query" && c.Line == 0:
			c.Line = line + 1
			err = c.query(rest)
		case word == "query":
			err = errors.New("a second query in one block; put an empty line between cases")
		case word == "resolved":
			err = c.resolves(rest)
		default:
			err = c.reply(word, rest)
		}
		if err != nil {
			return c, line, err
		}
	}
	if c.Line > 0 {
		return c, c.Line - 1, errors.New("a query without a verdict: the last line of a case begins with ->")
	}
	if c.Reply != nil || len(c.resolved) > 0 {
		return c, at, errors.New("records, and no query")
	}
	return c, at, nil
}

// query reads NAME TYPE [ad] [do] [cd] [tcp] [client ADDRESS] [tenant TAG].
func (c *Case) query(text string) error {
	words := strings.Fields(text)
	var err error
	if c.Question, err = parseQuestion(words); err != nil {
		return err
	}
	q := &c.Query
	q.Name, q.Type, q.Flags = []byte(c.Question.Name.Lower().Wire()), c.Question.Type, dns.FlagRD
	for words = words[2:]; len(words) > 0; {
		n, err := attributeOf(q, words)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%q behind a query; there are do, cd, ad, tcp, client ADDRESS and tenant TAG", words[0])
		}
		words = words[n:]
	}
	return nil
}

// parseQuestion reads the name and the type that a query begins with.
func parseQuestion(words []string) (q dns.Question, err error) {
	if len(words) < 2 {
		return q, errors.New("a query is written NAME TYPE")
	}
	q.Class = dns.ClassINET
	if q.Name, err = dns.ParseName(words[0]); err == nil {
		q.Type, err = dns.ParseType(words[1])
	}
	return q, err
}

// attributeOf reads how a query came, and returns how many words that took; 0: the first is none of these.
func attributeOf(q *plugin.Query, words []string) (n int, err error) {
	switch words[0] {
	case "do":
		q.DO = true
	case "cd":
		q.Flags |= dns.FlagCD
	case "ad":
		q.Flags |= dns.FlagAD
	case "tcp":
		q.Transport = 1
	case "client":
		if len(words) == 1 {
			return 0, errors.New("client, and no address")
		}
		if q.Client, err = netip.ParseAddr(words[1]); err != nil {
			return 0, fmt.Errorf("reading the client's address: %w", err)
		}
		return 2, nil
	case "tenant":
		if len(words) == 1 {
			return 0, errors.New("tenant, and no tag")
		}
		if len(words[1]) > maxTag {
			return 0, fmt.Errorf("the tag of a tenant has at most %d octets", maxTag)
		}
		q.Tenant = words[1]
		return 2, nil
	default:
		return 0, nil
	}
	return 1, nil
}

// securities are the words for what is known of an answer.
var securities = []cache.Security{cache.Indeterminate, cache.Insecure, cache.Secure}

// rcodes are those that an answer may be shown with.
var rcodes = []dns.RCode{dns.RCodeSuccess, dns.RCodeNameError, dns.RCodeServerFailure, dns.RCodeRefused}

// reply reads a line of what is shown to phase answer.
func (c *Case) reply(word, rest string) error {
	if c.Reply == nil {
		c.Reply = &plugin.Reply{Security: cache.Insecure}
	}
	if word != "reply" {
		section := slices.Index(sections, word)
		if section < 0 {
			return fmt.Errorf("no line begins with %q; there are settings, query, resolved, reply, answer, authority, additional, logged and ->", word)
		}
		rr, err := parseRecord(rest)
		c.Reply.Sections[section] = append(c.Reply.Sections[section], rr)
		return err
	}
	for _, w := range strings.Fields(rest) {
		security := slices.IndexFunc(securities, func(s cache.Security) bool { return s.String() == w })
		rcode := slices.IndexFunc(rcodes, func(r dns.RCode) bool { return r.String() == w })
		switch {
		case w == "cached":
			c.Reply.Cached = true
		case w == "stale":
			c.Reply.Stale = true
		case w == "made":
			c.Reply.Made = true
		case security >= 0:
			c.Reply.Security = securities[security]
		case rcode >= 0:
			c.Reply.RCode = rcodes[rcode]
		default:
			return fmt.Errorf("%q is none of %v, %v, cached, stale and made", w, rcodes, securities)
		}
	}
	return nil
}

// sections are the words for sections, by their numbers.
var sections = []string{"answer", "authority", "additional"}

// resolves reads a record that a question of the module's own finds.
func (c *Case) resolves(text string) error {
	rr, err := parseRecord(text)
	c.resolved = append(c.resolved, rr)
	c.Query.Resolve = c.resolve
	return err
}

// errUnresolved is what a question gets whose name no record of the case has: nobody answers.
var errUnresolved = errors.New("the case has no record of that name")

// resolve answers a question of the module's own.
func (c *Case) resolve(name dns.Name, t dns.Type) (*plugin.Reply, error) {
	rep, known := &plugin.Reply{Security: cache.Insecure}, false
	for _, rr := range c.resolved {
		if !rr.Name.Equal(name) {
			continue
		}
		known = true
		if rr.Type == t || t == dns.TypeANY {
			rep.Sections[0] = append(rep.Sections[0], rr)
		}
	}
	if !known {
		return nil, errUnresolved
	}
	return rep, nil
}

// parseRecord reads a record.
func parseRecord(text string) (dns.RR, error) {
	all, err := dns.ParseZone(text, "the line", dns.Root, 1)
	if err != nil {
		return dns.RR{}, err
	}
	if len(all) != 1 {
		return dns.RR{}, errors.New("it has no record")
	}
	return all[0], nil
}

// Updated returns the file with what came out in place of what was wanted, case by case.
func (f *File) Updated(got []Outcome) string {
	var out []string
	at := 0
	for k, c := range f.Cases {
		out = append(out, f.lines[at:c.from]...)
		if got[k].String() == c.Want.String() {
			out = append(out, f.lines[c.from:c.to]...)
		} else {
			out = append(out, strings.Split("-> "+got[k].String(), "\n")...)
		}
		at = c.to
	}
	return strings.Join(append(out, f.lines[at:]...), "\n")
}

// hinted is an error with a mend.
type hinted struct {
	error
	hint string
}

// Hint says what to do now.
func (h hinted) Hint() string { return h.hint }

func (h hinted) Unwrap() error { return h.error }
