package cases

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/plugin"
)

// Outcome is what comes of a case: a verdict, or what a module of phase log did, or a fault.
type Outcome struct {
	Verdict plugin.Verdict
	Seen    *Seen  // nil: it is no case of phase log
	Fault   string // why there is neither; "" if there is
}

// words are the actions, as cases have them.
var words = map[plugin.Action]string{
	plugin.GoOn: "go on", plugin.NXDomain: "NXDOMAIN", plugin.NoData: "NODATA", plugin.Address: "address", plugin.Refuse: "REFUSED", plugin.Drop: "drop", plugin.Answer: "records", plugin.Rewrite: "rewrite",
}

// String is the outcome as cases have it, behind the arrow. Records have a line each.
func (o Outcome) String() string {
	if o.Fault != "" {
		return "fault " + o.Fault
	}
	if o.Seen != nil {
		return wordDone + o.Seen.String()
	}
	v := &o.Verdict
	parts := []string{words[v.Action]}
	for _, a := range v.Addrs {
		parts = append(parts, a.String())
	}
	if v.Action == plugin.Rewrite {
		parts = append(parts, v.Name.String())
	}
	if v.TTL > 0 {
		parts = append(parts, fmt.Sprintf("ttl=%d", v.TTL))
	}
	if v.EDE != nil {
		parts = append(parts, "ede="+strconv.Quote(strings.TrimSpace(fmt.Sprintf("%d %s", v.EDE.Code, v.EDE.Text))))
	}
	if v.Group != "" {
		parts = append(parts, "group="+strconv.Quote(v.Group))
	}
	if v.Tag != "" {
		parts = append(parts, "tag="+strconv.Quote(v.Tag))
	}
	if v.Bypass {
		parts = append(parts, "bypass")
	}
	var text strings.Builder
	text.WriteString(strings.Join(parts, " "))
	for _, r := range v.Records {
		text.WriteString("\n    " + strings.ReplaceAll(r.String(), "\t", " "))
	}
	return text.String()
}

// parseOutcome reads what stands behind the arrow, and the lines of records behind that.
func parseOutcome(text string, lines []string) (o Outcome, err error) {
	v := &o.Verdict
	word, rest, _ := strings.Cut(text, " ")
	if word == "fault" {
		o.Fault = strings.TrimSpace(rest)
		if o.Fault == "" {
			return o, errors.New("a fault without a reason; it may be fuel, memory, trap, host_calls, host, stack, verdict, group, returned or start NUMBER")
		}
		return o, nil
	}
	if word == wordDone {
		if rest != "" {
			return o, fmt.Errorf("%q behind %s; what the module counts, observes and logs has lines of its own", rest, wordDone)
		}
		o.Seen, err = parseSeen(lines)
		return o, err
	}
	if word == "go" {
		word, rest = "go on", strings.TrimPrefix(strings.TrimSpace(rest), "on")
	}
	found := false
	for a, w := range words {
		if w == word {
			v.Action, found = a, true
		}
	}
	if !found {
		return o, fmt.Errorf("%q is no verdict; there are go on, NXDOMAIN, NODATA, address, REFUSED, drop, rewrite, records and fault, and for what was logged done", word)
	}
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		if rest, err = o.attribute(rest); err != nil {
			return o, err
		}
	}
	for _, line := range lines {
		if blank(line) {
			continue
		}
		if v.Action != plugin.Answer && v.Action != plugin.NXDomain && v.Action != plugin.NoData {
			return o, fmt.Errorf("%q behind the verdict; records belong to the verdict records, and a zone's SOA record to NXDOMAIN and NODATA", strings.TrimSpace(line))
		}
		r, err := parseRecord(strings.TrimSpace(line))
		if err != nil {
			return o, err
		}
		v.Records = append(v.Records, r)
	}
	return o, nil
}

// attribute reads the first of what stands behind an action, and returns the rest.
func (o *Outcome) attribute(text string) (rest string, err error) {
	v := &o.Verdict
	key, value, isPair := strings.Cut(text, "=")
	if word, more, _ := strings.Cut(text, " "); !isPair || strings.Contains(key, " ") {
		switch {
		case word == "bypass":
			v.Bypass = true
		case v.Action == plugin.Address:
			a, err := netip.ParseAddr(word)
			if err != nil {
				return "", err
			}
			v.Addrs = append(v.Addrs, a)
		case v.Action == plugin.Rewrite && v.Name.IsZero():
			v.Name, err = dns.ParseName(word)
		default:
			err = fmt.Errorf("%q behind the verdict; there are ttl=, ede=, group=, tag= and bypass", word)
		}
		return more, err
	}
	if value, rest, err = valueOf(value); err != nil {
		return "", err
	}
	switch key {
	case "ttl":
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return "", fmt.Errorf("%q is no TTL", value)
		}
		v.TTL = uint32(n)
	case "ede":
		code, text, _ := strings.Cut(value, " ")
		n, err := strconv.ParseUint(code, 10, 16)
		if err != nil {
			return "", fmt.Errorf("%q is no number of an extended error", code)
		}
		v.EDE = &dns.EDE{Code: dns.EDECode(n), Text: text}
	case "group":
		v.Group = value
	case "tag":
		v.Tag = value
	default:
		return "", fmt.Errorf("%q behind the verdict; there are ttl=, ede=, group=, tag= and bypass", key)
	}
	return rest, nil
}

// valueOf takes a word, or a text in quotes, from the front.
func valueOf(text string) (value, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		value, rest, _ = strings.Cut(text, " ")
		return value, rest, nil
	}
	quoted, err := strconv.QuotedPrefix(text)
	if err != nil {
		return "", "", errors.New("a quote that does not end")
	}
	value, err = strconv.Unquote(quoted)
	return value, text[len(quoted):], err
}

// Difference shows what was wanted and what came, line by line; "" if they are alike.
func Difference(want, got Outcome) string {
	if want.String() == got.String() {
		return ""
	}
	w, g := strings.Split("-> "+want.String(), "\n"), strings.Split("-> "+got.String(), "\n")
	var b strings.Builder
	for _, line := range w {
		if !slices.Contains(g, line) {
			b.WriteString("- " + line + "\n")
		}
	}
	for _, line := range g {
		mark := "+ "
		if slices.Contains(w, line) {
			mark = "  "
		}
		b.WriteString(mark + line + "\n")
	}
	return b.String()
}
