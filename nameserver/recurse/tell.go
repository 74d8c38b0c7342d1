package recurse

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/dnssec"
)

// What validation tells a trace: in words first, and in fields from which a chain of trust can be drawn.

// tellTrust tells how the keys of a zone were come by, or why there are none.
func (j *job) tellTrust(t *trust) {
	if !j.span.on() {
		return
	}
	fields := []string{"zone", t.zone.String(), "security", t.security.String(), "ds", presentDS(t.ds)}
	text := fmt.Sprintf("the keys of %v are %v", t.zone, t.security)
	switch {
	case t.security == cache.Secure && t.set != nil:
		by := "a trust anchor"
		if t.ds != nil {
			by = "DS " + presentDS(t.ds)
		}
		text = fmt.Sprintf("the keys of %v are secure: %s names key %d (%v), which signs %v", t.zone, by, t.set.KeyTag, t.set.Algorithm, t.keys)
		fields = append(fields, "keys", t.keys.String(), "key_tag", fmt.Sprint(t.set.KeyTag), "algorithm", t.set.Algorithm.String())
		fields = append(fields, untilFields(t.set.Until)...)
		text += untilText(t.set.Until)
	case t.why.Text != "":
		text += ": " + t.why.Text
		fields = append(fields, "why", t.why.Text, "ede", fmt.Sprint(uint16(t.why.Code)))
	}
	j.span.event(KindValidate, text, fields...)
}

// tellSet tells what became of an RRset.
func (j *job) tellSet(set *dns.RRset, f *finding) {
	j.r.m.validated.With(f.Security.String()).Inc()
	if !j.span.on() {
		return
	}
	what := fmt.Sprintf("%v %v", set.Name, set.Type)
	fields := append([]string{"name", set.Name.String(), "type", set.Type.String()}, f.fields()...)
	if f.Security == cache.Secure {
		text := fmt.Sprintf("%s is secure: signed by key %d (%v) of %v%s", what, f.KeyTag, f.Algorithm, f.Zone, untilText(f.Until))
		if !f.Wildcard.IsZero() {
			text += fmt.Sprintf(", from the wildcard below %v", f.Wildcard)
			fields = append(fields, "wildcard", f.Wildcard.String())
		}
		fields = append(fields, "key_tag", strconv.Itoa(int(f.KeyTag)), "algorithm", f.Algorithm.String())
		for data := range set.Sigs.All() {
			if sig, err := dns.ParseRRSIG(data); err == nil && sig.KeyTag == f.KeyTag {
				fields = append(fields, "inception", stamp(int64(sig.Inception)), "expiration", stamp(int64(sig.Expiration)))
				break
			}
		}
		j.span.event(KindValidate, text, fields...)
		return
	}
	j.span.event(KindValidate, fmt.Sprintf("%s is %s", what, f.words()), fields...)
}

// tellDenial tells what became of a denial.
func (j *job) tellDenial(m *material, c *checked) {
	j.r.m.validated.With(c.denial.Security.String()).Inc()
	if !j.span.on() {
		return
	}
	what := fmt.Sprintf("that %v has no %v", m.end, m.q.Type)
	if c.denied(m.what) == isNXDomain {
		what = fmt.Sprintf("that %v does not exist", m.end)
	}
	fields := append([]string{"name", m.end.String(), "type", m.q.Type.String()}, c.denial.fields()...)
	text := what + " is " + c.denial.words()
	if c.denial.Security == cache.Secure {
		text = fmt.Sprintf("%s is proved by %v%s", what, c.denial.Zone, untilText(c.denial.Until))
	}
	j.span.event(KindValidate, text, fields...)
}

func (f *finding) words() string {
	text := f.Security.String()
	switch {
	case f.EDE.Text != "":
		text += ": " + f.EDE.Text
	case f.Security == cache.Insecure && f.until != 0:
		text += fmt.Sprintf(": a negative trust anchor stands at %v", f.Zone)
	case f.Security == cache.Insecure && !f.Zone.IsZero():
		text += fmt.Sprintf(": %v is not signed, or may be so", f.Zone)
	case f.Security == cache.Indeterminate:
		text += ": no trust anchor is above it"
	}
	return text
}

func (f *finding) fields() []string {
	out := []string{"security", f.Security.String()}
	if !f.Zone.IsZero() {
		out = append(out, "zone", f.Zone.String())
	}
	if f.EDE.Text != "" {
		out = append(out, "why", f.EDE.Text, "ede", strconv.Itoa(int(f.EDE.Code)))
	}
	return append(out, untilFields(f.Until)...)
}

func untilText(until time.Time) string {
	if until.IsZero() {
		return ""
	}
	return ", until " + stamp(until.Unix())
}

func untilFields(until time.Time) []string {
	if until.IsZero() {
		return nil
	}
	return []string{"until", stamp(until.Unix())}
}

func stamp(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }

// presentDS lists DS records by tag, algorithm and digest, for people.
func presentDS(records dns.Records) string {
	var out []string
	for data := range records.All() {
		if d, err := dns.ParseDS(data); err == nil {
			out = append(out, fmt.Sprintf("%d (%v, %v)", d.KeyTag, dnssec.Algorithm(d.Algorithm), dnssec.Digest(d.DigestType)))
		}
	}
	return strings.Join(out, ", ")
}
