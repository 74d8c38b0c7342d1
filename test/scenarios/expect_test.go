package scenarios

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	miekg "github.com/miekg/dns"
)

// expectation is what an answer must be.
type expectation struct {
	line      int // of the first of its lines
	last      int
	dropped   bool
	rcode     string // "": any answer will do
	flags     []string
	answer    []string
	authority []string
	exactly   bool        // authority is all of its section
	records   *comparison // how many the answer section has, in place of lines

	additional []string // all of its section but OPT

	edes    []edeWant
	anyEDE  bool
	options []optionWant
	size    *comparison
	within  time.Duration
	after   time.Duration
	timing  []string // lines of within, after, size, records and option, kept by -update
}

// optionWant is an EDNS option that has to be there, or not.
type optionWant struct {
	code   uint16
	absent bool
	data   []byte // nil: whatever it is
}

type edeWant struct {
	code uint16
	text string
}

// flagsSeen are the flags that an answer has if, and only if, its line of flags says so.
var flagsSeen = []string{"aa", "tc", "ad", "cd"}

func flagsOf(m *miekg.Msg) (flags []string) {
	for i, set := range []bool{m.Authoritative, m.Truncated, m.AuthenticatedData, m.CheckingDisabled} {
		if set {
			flags = append(flags, flagsSeen[i])
		}
	}
	return flags
}

func parseExpectation(file string, line int, lines []want) (e expectation, err error) {
	e.line, e.last = line, line
	status := false
	for i, w := range lines {
		if i == 0 {
			e.line = w.line
		}
		e.last = w.line
		bad := func(format string, args ...any) error {
			return placed(file, w.line, "%q: %w", w.text, fmt.Errorf(format, args...))
		}
		rest := w.words[1:]
		switch w.words[0] {
		case "answer", "authority", "additional":
			if len(rest) == 1 && rest[0] == "none" {
				e.exactly = e.exactly || w.words[0] == "authority"
				continue
			}
			text, err := canonical(strings.TrimSpace(strings.TrimPrefix(w.text, w.words[0])))
			if err != nil {
				return e, bad("%w", err)
			}
			switch w.words[0] {
			case "answer":
				e.answer = append(e.answer, text)
			case "authority":
				e.authority, e.exactly = append(e.authority, text), true
			default:
				e.additional = append(e.additional, text)
			}
		case "ede":
			if len(rest) == 1 && rest[0] == "any" {
				e.anyEDE = true
				continue
			}
			if len(rest) == 0 || len(rest) > 2 {
				return e, bad("not a code and a text")
			}
			n, err := strconv.ParseUint(rest[0], 10, 16)
			if err != nil {
				return e, bad("%q is no code", rest[0])
			}
			e.edes = append(e.edes, edeWant{uint16(n), strings.Join(rest[1:], "")})
		case "option", "no":
			o, err := parseOption(w.words)
			if err != nil {
				return e, bad("%w", err)
			}
			e.options, e.timing = append(e.options, o), append(e.timing, w.text)
		case "records":
			c, err := parseComparison(rest)
			if err != nil {
				return e, bad("%w", err)
			}
			e.records, e.timing = &c, append(e.timing, w.text)
		case "size":
			c, err := parseComparison(rest)
			if err != nil {
				return e, bad("%w", err)
			}
			e.size, e.timing = &c, append(e.timing, w.text)
		case "within":
			if e.within, err = parseDuration(rest); err != nil {
				return e, bad("%w", err)
			}
			e.timing = append(e.timing, w.text)
		case "after":
			if e.after, err = parseDuration(rest); err != nil {
				return e, bad("%w", err)
			}
			e.timing = append(e.timing, w.text)
		case "dropped":
			e.dropped, status = true, true
		case "any":
			status, e.anyEDE = true, true
		default:
			if _, ok := miekg.StringToRcode[w.words[0]]; !ok && w.words[0] != badVersion || status {
				return e, bad("neither answer, authority, additional, records, ede, option, size, within, after, dropped, any nor one response code")
			}
			e.rcode, status = w.words[0], true
			for _, f := range rest {
				if !slices.Contains(flagsSeen, f) {
					return e, bad("%q is none of %v", f, flagsSeen)
				}
				e.flags = append(e.flags, f)
			}
		}
	}
	if !status && !*update {
		return e, placed(file, line, "no line says which response code is expected; any will do with the word any")
	}
	return e, nil
}

// parseOption reads "option CODE [HEX]" or "no option CODE".
func parseOption(words []string) (o optionWant, err error) {
	if o.absent = words[0] == "no"; o.absent {
		words = words[1:]
	}
	if len(words) < 2 || len(words) > 3 || words[0] != "option" || o.absent && len(words) == 3 {
		return o, fmt.Errorf("not: option CODE [HEX], or: no option CODE")
	}
	n, err := strconv.ParseUint(words[1], 10, 16)
	if err != nil {
		return o, fmt.Errorf("no code")
	}
	o.code = uint16(n)
	if len(words) == 3 {
		o.data, err = hex.DecodeString(words[2])
	}
	return o, err
}

// check says what is wrong with the options of an answer; "" if nothing is.
func (o optionWant) check(m *miekg.Msg) string {
	var found []miekg.EDNS0
	if opt := m.IsEdns0(); opt != nil {
		for _, have := range opt.Option {
			if have.Option() == o.code {
				found = append(found, have)
			}
		}
	}
	switch {
	case o.absent && len(found) > 0:
		return fmt.Sprintf("there is an option %d", o.code)
	case !o.absent && len(found) != 1:
		return fmt.Sprintf("there are %d options %d", len(found), o.code)
	case o.data != nil:
		if data := optionData(found[0]); !bytes.Equal(data, o.data) {
			return fmt.Sprintf("the option %d is %x", o.code, data)
		}
	}
	return ""
}

// optionData is what an option holds, as octets.
func optionData(o miekg.EDNS0) []byte {
	m := &miekg.Msg{Extra: []miekg.RR{&miekg.OPT{Hdr: miekg.RR_Header{Name: ".", Rrtype: miekg.TypeOPT}, Option: []miekg.EDNS0{o}}}}
	b, err := m.Pack()
	const before = 12 + 11 + 4 // header, OPT record, code and length
	if err != nil || len(b) < before {
		return nil
	}
	return b[before:]
}

// canonical writes a record as the library writes it: "NAME TYPE DATA", or "NAME TTL TYPE DATA" if a TTL is there. A line that ends in ... is
// compared up to there.
func canonical(text string) (string, error) {
	if strings.HasSuffix(text, "...") {
		return strings.Join(strings.Fields(text), " "), nil
	}
	fields := strings.Fields(text)
	rr, err := miekg.NewRR(text)
	if err != nil {
		return "", err
	}
	if rr == nil || len(fields) < 3 {
		return "", fmt.Errorf("no record: NAME [TTL] TYPE DATA")
	}
	_, err = strconv.Atoi(fields[1])
	return show(rr, err == nil), nil
}

// show writes a record without its class, and with its TTL if it matters.
func show(rr miekg.RR, ttl bool) string {
	fields := strings.Fields(rr.String())
	if !ttl {
		fields = slices.Delete(fields, 1, 2)
		return strings.Join(slices.Delete(fields, 1, 2), " ")
	}
	return strings.Join(slices.Delete(fields, 2, 3), " ")
}

// number puts a client's number in the place of $N.
func number(lines []string, n int) []string {
	out := slices.Clone(lines)
	for i := range out {
		out[i] = strings.ReplaceAll(out[i], "$N", strconv.Itoa(n))
	}
	return out
}

func isLineOf(line string, rr miekg.RR) bool {
	start, open := strings.CutSuffix(line, "...")
	fields := strings.Fields(line)
	_, err := strconv.Atoi(fields[min(1, len(fields)-1)])
	text := show(rr, err == nil)
	if open {
		return strings.HasPrefix(text, strings.TrimSpace(start))
	}
	return text == line
}

// isSection compares a section: RRsets in the order of the lines, the records of one in any order.
func isSection(lines []string, section []miekg.RR) bool {
	if len(lines) != len(section) {
		return false
	}
	used := make([]bool, len(section))
	for _, line := range lines {
		found := false
		for i, rr := range section {
			if used[i] {
				continue
			}
			if found = isLineOf(line, rr); found {
				used[i] = true
				break
			}
			// Only records of the same set may be passed over.
			first := slices.Index(used, false)
			if !miekg.IsRRset([]miekg.RR{section[first], rr}) {
				break
			}
		}
		if !found {
			return false
		}
	}
	return true
}

// check compares the answer of client n with what is expected of it, and returns what is wrong.
func (e *expectation) check(r *result, n int) (wrong []string) {
	wrong = r.odd
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if e.within > 0 && r.took > e.within {
		bad("it took %v", r.took)
	}
	if r.took < e.after {
		bad("it took %v only", r.took)
	}
	if r.msg == nil {
		if !e.dropped {
			bad("no answer")
		}
		return wrong
	}
	if e.dropped {
		bad("an answer came")
	}
	if e.size != nil && !e.size.holds(float64(len(r.raw))) {
		bad("the answer has %d octets", len(r.raw))
	}
	for _, o := range e.options {
		if text := o.check(r.msg); text != "" {
			bad("%s", text)
		}
	}
	if e.rcode == "" {
		return wrong
	}
	if got := rcodeName(r.msg); got != e.rcode {
		bad("the response code is %s", got)
	}
	if got := flagsOf(r.msg); !slices.Equal(got, e.flags) {
		bad("the flags are %v", got)
	}
	switch {
	case e.records != nil && !e.records.holds(float64(len(r.msg.Answer))):
		bad("the answer section has %d records", len(r.msg.Answer))
	case e.records == nil && !isSection(number(e.answer, n), r.msg.Answer):
		bad("the answer section is not as expected")
	}
	if e.exactly && !isSection(number(e.authority, n), r.msg.Ns) {
		bad("the authority section is not as expected")
	}
	if !isSection(number(e.additional, n), additional(r.msg)) {
		bad("the additional section is not as expected")
	}
	if !e.anyEDE && !e.edesMatch(edes(r.msg)) {
		bad("the extended errors are not as expected")
	}
	return wrong
}

func (e *expectation) edesMatch(got []*miekg.EDNS0_EDE) bool {
	if len(got) != len(e.edes) {
		return false
	}
	for i, g := range got {
		if g.InfoCode != e.edes[i].code || !strings.Contains(g.ExtraText, e.edes[i].text) {
			return false
		}
	}
	return true
}

const badVersion = "BADVERS"

func rcodeName(m *miekg.Msg) string {
	if m.Rcode == miekg.RcodeBadVers { // which the library calls BADSIG
		return badVersion
	}
	return miekg.RcodeToString[m.Rcode]
}

// render writes the answer as lines that expect it, for -update.
func (e *expectation) render(r *result) (lines []string) {
	if r.msg == nil {
		return append([]string{"dropped"}, e.timing...)
	}
	lines = append(lines, strings.Join(append([]string{rcodeName(r.msg)}, flagsOf(r.msg)...), " "))
	ttl := func(was []string) bool {
		return slices.ContainsFunc(was, func(line string) bool {
			_, err := strconv.Atoi(strings.Fields(line)[1])
			return err == nil
		})
	}
	for _, rr := range r.msg.Answer {
		if e.records != nil {
			break
		}
		lines = append(lines, "answer "+cut(show(rr, ttl(e.answer))))
	}
	if e.exactly {
		for _, rr := range r.msg.Ns {
			lines = append(lines, "authority "+cut(show(rr, ttl(e.authority))))
		}
		if len(r.msg.Ns) == 0 {
			lines = append(lines, "authority none")
		}
	}
	for _, rr := range additional(r.msg) {
		lines = append(lines, "additional "+cut(show(rr, ttl(e.additional))))
	}
	if e.anyEDE {
		lines = append(lines, "ede any")
	} else {
		for i, g := range edes(r.msg) {
			text := g.ExtraText
			if i < len(e.edes) && strings.Contains(text, e.edes[i].text) && e.edes[i].text != "" {
				text = e.edes[i].text
			}
			lines = append(lines, fmt.Sprintf("ede %d %q", g.InfoCode, text))
		}
	}
	return append(lines, e.timing...)
}

// cut leaves out what changes with the clock: the times and the signature of an RRSIG.
func cut(line string) string {
	if f := strings.Fields(line); len(f) > 8 && (f[1] == "RRSIG" || f[2] == "RRSIG") {
		return strings.Join(f[:6], " ") + " ..."
	}
	return line
}
