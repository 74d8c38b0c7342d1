package story

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
)

// Extended errors of RFC 8914 that say that the answer is an old one (RFC 8767).
const (
	edeStaleAnswer   = 3
	edeStaleNXDomain = 19
)

// failed tells whether a response code says that there is no answer. NXDOMAIN is one.
func failed(rcode string) bool { return rcode != "NOERROR" && rcode != "NXDOMAIN" }

// verdict writes the first line: what came of it, and why if it was nothing.
func (d *drawing) verdict() {
	word, text, style := "broke off", "the story below is not whole, and there is no answer", terminal.Red
	if a := d.answer; a != nil {
		word, text, style = "answered", found(a), terminal.Green
		if failed(a.RCode) {
			word, text, style = "failed", fmt.Sprintf("%s for %s %s, because %s", a.RCode, a.Name, a.Type, reason(a)), terminal.Red
		} else if e, ok := stale(a); ok {
			word, style = "answered with expired data", terminal.Yellow
			text += "; nothing newer, because " + cmp.Or(e.Text, "its servers could not be asked")
		}
	}
	room := 0
	if d.Screen.Width > 0 {
		room = max(d.Screen.Width-2, leastText)
	}
	for i, l := range terminal.Wrap(word+": "+terminal.Clean(text), room) {
		if i == 0 {
			d.line(strings.Replace(l, word, d.Screen.Paint(style, word), 1))
		} else {
			d.line("  " + l)
		}
	}
}

// found says in words what an answer without a failure is.
func found(a *admin.ExplainAnswer) string {
	records, aliases, end := 0, 0, a.Name
	for _, line := range a.Answer {
		switch f := strings.Fields(line); {
		case len(f) < 5:
		case f[3] == a.Type || f[3] != "CNAME" && f[3] != "DNAME" && f[3] != "RRSIG":
			records++
		case f[3] == "CNAME":
			aliases++
			end = f[4]
		}
	}
	through := a.Name + " "
	if aliases > 0 {
		through = fmt.Sprintf("%s is an alias of %s, which ", a.Name, end)
	}
	typ := a.Type + " "
	if a.Type == "ANY" {
		typ = ""
	}
	switch {
	case a.RCode == "NXDOMAIN":
		return through + "does not exist"
	case records == 0:
		return through + "exists and has no " + typ + "record"
	case records == 1:
		return through + "has 1 " + typ + "record"
	}
	return through + fmt.Sprintf("has %d %srecords", records, typ)
}

// reason returns why an answer failed.
func reason(a *admin.ExplainAnswer) string {
	for _, e := range a.Errors {
		if text := cmp.Or(e.Text, e.Name); text != "" {
			return text
		}
	}
	return "of something that the node does not tell"
}

func stale(a *admin.ExplainAnswer) (admin.EDE, bool) {
	for _, e := range a.Errors {
		if e.Code == edeStaleAnswer || e.Code == edeStaleNXDomain {
			return e, true
		}
	}
	return admin.EDE{}, false
}

// rcodes in words, RFC 1035 section 4.1.1 and later ones that a resolver may give.
var rcodes = map[string]string{
	"NOERROR":  "no error",
	"FORMERR":  "the question is malformed",
	"SERVFAIL": "no answer could be had",
	"NXDOMAIN": "the name does not exist",
	"NOTIMP":   "this kind of question is not answered",
	"REFUSED":  "the question is not answered to this client",
	"YXDOMAIN": "an alias made the name too long",
}

// securities in words, RFC 4033 section 5.
var securities = map[string]string{
	"secure":        "signed, and the signatures hold",
	"insecure":      "proven to be unsigned",
	"bogus":         "signed, and the signatures do not hold",
	"indeterminate": "below no trust anchor",
	"unchecked":     "not validated",
}

func inWords(word string, words map[string]string) string {
	if w := words[word]; w != "" {
		return word + " (" + w + ")"
	}
	return word
}

// security says in words how an answer stands to its signatures. Below a negative trust anchor nobody has looked at them.
func security(a *admin.ExplainAnswer) string {
	n := a.NegativeAnchor
	if n == nil {
		return inWords(a.Security, securities)
	}
	until := ""
	if !n.Until.IsZero() {
		until = " until " + n.Until.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("%s (not validated: a negative trust anchor stands at %s%s, RFC 7646)", a.Security, n.Zone, until)
}

// conclusion writes the answer as dig would.
func (d *drawing) conclusion() {
	a := d.answer
	d.comment("status: " + inWords(a.RCode, rcodes))
	d.comment("security: " + security(a))
	for _, e := range a.Errors {
		text := fmt.Sprintf("EDE: %d", e.Code)
		if e.Name != "" {
			text += " (" + e.Name + ")"
		}
		if e.Text != "" {
			text += ": " + e.Text
		}
		d.comment(text)
	}
	d.section("QUESTION", []string{fmt.Sprintf(";%s\tIN\t%s", a.Name, a.Type)})
	d.section("ANSWER", a.Answer)
	d.section("AUTHORITY", a.Authority)
	d.line("")
	questions := "questions"
	if a.UpstreamQuestions == 1 {
		questions = "question"
	}
	d.comment(fmt.Sprintf("%d %s to name servers, %.1f ms", a.UpstreamQuestions, questions, float64(a.DurationUS)/1000))
}

// comment writes a line that zone files ignore, wrapped with a hanging indent.
func (d *drawing) comment(text string) {
	const begin, hang = ";; ", ";;   "
	room := 0
	if d.Screen.Width > 0 {
		room = max(d.Screen.Width-len(hang), leastText)
	}
	for i, l := range terminal.Wrap(terminal.Clean(text), room) {
		if i == 0 {
			d.line(begin + l)
		} else {
			d.line(hang + l)
		}
	}
}

// section writes records in columns. They are not wrapped, so that what is copied is a record.
func (d *drawing) section(name string, records []string) {
	if len(records) == 0 {
		return
	}
	d.line("")
	d.line(";; " + name + " SECTION:")
	var rows [][]string
	widths := make([]int, 4) // name, TTL, class and type; the data is no column
	for _, record := range records {
		row := strings.SplitN(record, "\t", 5)
		for i, cell := range row {
			row[i] = terminal.Clean(cell)
			if i < len(widths) && len(row) > 1 {
				widths[i] = max(widths[i], terminal.Columns(row[i]))
			}
		}
		rows = append(rows, row)
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-terminal.Columns(cell)+2))
			}
		}
		d.line(b.String())
	}
}
