package cases

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/plugin"
)

// maxLines is how many lines a case of phase log may have: a page of a node's, eight calls of a module.
const maxLines = 256

// maxTime is how long after the clock of cases a line may be, and how long an answer may have taken.
const maxTime = 24 * time.Hour

// wordDone is what comes of a case of phase log if it is no fault.
const wordDone = "done"

// logged reads NAME TYPE [RCODE] [cached] [stale] [blocked] [at=TIME] [took=TIME] [tag="TEXT"], and what a query may have.
func (c *Case) logged(text string) error {
	if c.Reply != nil || len(c.resolved) > 0 || c.Lines == nil && len(c.Query.Name) > 0 {
		return errors.New("a query, or records, and lines of what was logged: these are a case of their own")
	}
	if len(c.Lines) == maxLines {
		return fmt.Errorf("more than %d lines of what was logged in one case", maxLines)
	}
	words, err := quotedWords(text)
	if err != nil {
		return err
	}
	question, err := parseQuestion(words)
	if err != nil {
		return err
	}
	q, l := plugin.Query{Flags: dns.FlagRD}, plugin.Line{Time: now, Type: question.Type}
	for words = words[2:]; len(words) > 0; {
		n, err := attributeOf(&q, words)
		if err == nil && n == 0 {
			n, err = 1, lineAttribute(&l, words[0])
		}
		if err != nil {
			return err
		}
		words = words[n:]
	}
	l.Client, l.Tenant, l.Flags, l.DO, l.Transport = q.Client, q.Tenant, q.Flags, q.DO, q.Transport
	l.NameLen = uint8(copy(l.Name[:], question.Name.Lower().Wire()))
	if c.Lines == nil {
		c.Question = question
	}
	c.Lines = append(c.Lines, l)
	return nil
}

// lineAttribute reads one word of what was answered.
func lineAttribute(l *plugin.Line, word string) (err error) {
	key, value, isPair := strings.Cut(word, "=")
	rcode := slices.IndexFunc(rcodes, func(r dns.RCode) bool { return r.String() == word })
	switch {
	case isPair && key == "at":
		var after time.Duration
		after, err = parseTime(value)
		l.Time = now + int64(after)
	case isPair && key == "took":
		l.Took, err = parseTime(value)
	case isPair && key == "tag":
		if l.Tag, _, err = valueOf(value); err == nil && len(l.Tag) > maxTag {
			err = fmt.Errorf("a tag has at most %d octets", maxTag)
		}
	case word == "cached":
		l.Cached = true
	case word == "stale":
		l.Stale = true
	case word == "blocked":
		l.Blocked = true
	case rcode >= 0:
		l.RCode = rcodes[rcode]
	default:
		err = fmt.Errorf("%q in a line of what was logged; there are %v, cached, stale, blocked, at=TIME, took=TIME, tag=TEXT, and what a query may have", word, rcodes)
	}
	return err
}

func parseTime(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxTime {
		return 0, fmt.Errorf("%q is no time from 0s to %v, as 1.5ms is", text, maxTime)
	}
	return d, nil
}

// quotedWords takes a line apart at its spaces, but for those in quotes.
func quotedWords(text string) (all []string, err error) {
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		end := strings.IndexAny(text, " \t")
		if at := strings.Index(text, `="`); at >= 0 && (end < 0 || at < end) {
			quoted, err := strconv.QuotedPrefix(text[at+1:])
			if err != nil {
				return nil, errors.New("a quote that does not end")
			}
			end = at + 1 + len(quoted)
		}
		if end < 0 {
			end = len(text)
		}
		all, text = append(all, text[:end]), text[end:]
	}
	return all, nil
}

// Seen is what a module of phase log does with the lines of a case. The zero value is that it does nothing that can be seen.
type Seen struct {
	counted  map[string]uint64   // the sum of each counter; one to which 0 was added is not here
	observed map[string][]uint64 // the numbers of each histogram, in their order
	logged   []string            // as cases have them
}

// levels are the words for those of lines in the log.
var levels = [...]string{"debug", "info", "warn", "error"}

func (s *Seen) log(level int, text string) {
	s.logged = append(s.logged, levels[level]+" "+strconv.Quote(text))
}

func (s *Seen) count(name string, observed bool, value uint64) {
	switch {
	case observed:
		if s.observed == nil {
			s.observed = make(map[string][]uint64)
		}
		s.observed[name] = append(s.observed[name], value)
	case value > 0:
		if s.counted == nil {
			s.counted = make(map[string]uint64)
		}
		s.counted[name] += value
	}
}

// String is what was done as cases have it: a line each, with an end of line before it. Counters and histograms are in the order of their names.
func (s *Seen) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.counted)) {
		fmt.Fprintf(&b, "\n    count %s %d", metricName(name), s.counted[name])
	}
	for _, name := range slices.Sorted(maps.Keys(s.observed)) {
		fmt.Fprintf(&b, "\n    observe %s", metricName(name))
		for _, n := range s.observed[name] {
			fmt.Fprintf(&b, " %d", n)
		}
	}
	for _, line := range s.logged {
		b.WriteString("\n    log " + line)
	}
	return b.String()
}

// metricName is a name as cases have it: in quotes where it would be taken for something else.
func metricName(name string) string {
	if name == "" || strings.ContainsAny(name, " \"") {
		return strconv.Quote(name)
	}
	return name
}

// parseSeen reads the lines behind the arrow of a case of phase log.
func parseSeen(lines []string) (*Seen, error) {
	s := new(Seen)
	for _, line := range lines {
		if blank(line) {
			continue
		}
		if err := s.parse(strings.TrimSpace(line)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Seen) parse(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	name, rest, err := valueOf(strings.TrimSpace(rest))
	if err != nil {
		return err
	}
	rest = strings.TrimSpace(rest)
	switch word {
	case "count", "observe":
		numbers := strings.Fields(rest)
		_, counted := s.counted[name]
		_, observed := s.observed[name]
		switch {
		case name == "":
			return fmt.Errorf("%s, and no name of a metric", word)
		case len(numbers) == 0 || word == "count" && len(numbers) > 1:
			return errors.New("what is counted is written count NAME SUM, what is observed observe NAME and then each number")
		case word == "count" && counted || word == "observe" && observed:
			return fmt.Errorf("a second line of %s %s; a metric has one", word, name)
		}
		for _, n := range numbers {
			value, err := strconv.ParseUint(n, 10, 63)
			if err != nil {
				return fmt.Errorf("%q is no number that a module can count", n)
			}
			s.count(name, word == "observe", value)
		}
	case "log":
		level := slices.Index(levels[:], name)
		if level < 0 {
			return fmt.Errorf("%q is no level of the log; there are %v", name, levels)
		}
		text, more, err := valueOf(rest)
		if err = cmp.Or(err, notAll(more)); err != nil {
			return err
		}
		s.log(level, text)
	default:
		return fmt.Errorf("%q behind done; there are count NAME SUM, observe NAME NUMBER... and log LEVEL TEXT", word)
	}
	return nil
}

// notAll is an error if something stands behind the text of a line.
func notAll(more string) error {
	if strings.TrimSpace(more) == "" {
		return nil
	}
	return fmt.Errorf("%q behind the text; a text of several words is in quotes", strings.TrimSpace(more))
}
