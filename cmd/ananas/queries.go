package main

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
	"github.com/ananas-edge/ananas/dns"
)

type queriesCommand struct {
	Name   *dns.Name `arg:"" optional:"" help:"This name and those below it; without it all."`
	Client string    `placeholder:"PREFIX" help:"Clients of this network; an address stands for the network that is kept of it."`
	From   string    `placeholder:"WHERE" help:"Answers that came from image, cache, resolved, stale, local or refused; several with commas between."`
	Limit  *int      `placeholder:"N" help:"Look at the newest N samples. Default: 100; with --top all that are kept."`
	Top    string    `placeholder:"WHAT" help:"Count by name, client, type, rcode or from."`
	JSON   bool      `help:"Print the samples, or the counts, as JSON."`
	nodeFlags

	client netip.Prefix
}

// Help is printed below the usage.
func (queriesCommand) Help() string {
	return `What clients ask right now, by samples: of so many answered queries (settings.sampling.one_in) the node writes one down, and keeps the newest 2,000 in memory. Of a client it keeps the network alone. The newest is the last line.

FROM tells where an answer came from: image, a finished answer; cache, records that were cached; resolved, name servers; stale, expired records; local, a rule of the node; refused, an error (or over UDP the advice to come back over TCP) without a look.

Example:

  ananas queries --top name
  ananas queries example.com --client 192.0.2.0/24
  ananas queries --from refused --top client`
}

// tops are the values of --top: what a sample is counted under.
var tops = map[string]func(*admin.Sample) string{
	"name":   func(s *admin.Sample) string { return s.Name },
	"client": func(s *admin.Sample) string { return s.Client.String() },
	"type":   recordType,
	"rcode":  func(s *admin.Sample) string { return s.RCode },
	"from":   func(s *admin.Sample) string { return s.From },
}

// Validate is called when all flags are read.
func (c *queriesCommand) Validate() (err error) {
	if c.Client != "" {
		if c.client, err = admin.ParseClient(c.Client); err != nil {
			return fmt.Errorf("--client: %w", err)
		}
	}
	if c.From != "" {
		if _, err := admin.ParseOrigins(c.From); err != nil {
			return fmt.Errorf("--from: %w", err)
		}
	}
	if c.Top != "" && tops[c.Top] == nil {
		return fmt.Errorf("--top is %q, not name, client, type, rcode or from", c.Top)
	}
	return within("--limit", c.Limit, admin.MaxSampleLimit)
}

// Run prints the samples, or their counts.
func (c *queriesCommand) Run(p *process) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	q := admin.SampleQuery{Name: dns.Root, Client: c.client, From: c.From}
	if c.Name != nil {
		q.Name = *c.Name
	}
	switch {
	case c.Limit != nil:
		q.Limit = *c.Limit
	case c.Top != "":
		q.Limit = admin.MaxSampleLimit
	}
	list, err := node.ListSamples(p.ctx, q)
	if err != nil {
		return err
	}
	if c.Top == "" {
		if c.JSON {
			return p.printJSON(list)
		}
		return p.print(func(w io.Writer) error { return writeSamples(w, sampleTable(list), list, q) })
	}
	counts := admin.CountSamples(list.Samples, tops[c.Top])
	if c.JSON {
		return p.printJSON(sampleCounts{list.OneIn, len(list.Samples), counts})
	}
	return p.print(func(w io.Writer) error { return writeSamples(w, countTable(c.Top, counts), list, q) })
}

// writeSamples writes a table of samples, and what they stand for.
func writeSamples(w io.Writer, t *terminal.Table, list admin.SampleList, q admin.SampleQuery) error {
	if list.OneIn == 0 {
		_, err := io.WriteString(w, "sampling is off: settings.sampling.one_in is 0\nto write down one query in 1,000, set it to 1000 in the node's file, then: ananas reload\n")
		return err
	}
	each := "one query in " + thousands(uint64(list.OneIn))
	if list.OneIn == 1 {
		each = "every query"
	}
	n := len(list.Samples)
	if n == 0 {
		_, err := fmt.Fprintf(w, "no sample%s is kept; %s is written down\n", samplesOf(q), each)
		return err
	}
	if err := t.Write(w); err != nil {
		return err
	}
	foot := fmt.Sprintf("%s of %s%s, over %s", count(n, "sample", "samples"), each, samplesOf(q), ago(list.Samples[0].At.Sub(list.Samples[n-1].At)))
	if age := list.Now.Sub(list.Samples[0].At); age >= time.Minute {
		foot += ", the newest " + ago(age) + " ago"
	}
	if list.Total > n {
		foot += fmt.Sprintf("; %s are kept, --limit shows up to %d", thousands(uint64(list.Total)), admin.MaxSampleLimit)
	}
	_, err := fmt.Fprintf(w, "\n%s\n", foot)
	return err
}

// samplesOf says which samples are meant.
func samplesOf(q admin.SampleQuery) (text string) {
	if !q.Name.IsRoot() {
		text += " " + where(q.Name, true)
	}
	if q.Client.IsValid() {
		kept := admin.SampledAs(q.Client)
		if text += " from " + kept.String(); kept.Bits() < q.Client.Bits() {
			text += " (more is not kept of an address)"
		}
	}
	if q.From != "" {
		text += " that were answered from " + q.From
	}
	return text
}

// sampleTable has the newest at the end, as a log. The day is told if one is not today's.
func sampleTable(list admin.SampleList) *terminal.Table {
	samples := list.Samples
	t := &terminal.Table{Head: []string{"TIME (UTC)", "CLIENT", "NAME", "TYPE", "RCODE", "FROM", " TOOK", " SIZE", "OVER", "FLAGS"}}
	layout := time.TimeOnly
	if n := len(samples); n > 0 && samples[n-1].At.UTC().Format(time.DateOnly) != list.Now.UTC().Format(time.DateOnly) {
		layout = time.DateTime
	}
	for i := range slices.Backward(samples) {
		s := &samples[i]
		var flags []string
		for _, f := range []struct {
			set  bool
			name string
		}{{s.DO, "do"}, {s.CD, "cd"}, {s.AD, "ad"}, {s.TC, "tc"}} {
			if f.set {
				flags = append(flags, f.name)
			}
		}
		t.Rows = append(t.Rows, []string{
			s.At.UTC().Format(layout), s.Client.String(), dash(s.Name), recordType(s), s.RCode, s.From,
			took(time.Duration(s.TookUS) * time.Microsecond), size(int64(s.Bytes)), s.Transport, dash(strings.Join(flags, " ")),
		})
	}
	return t
}

// recordType is what was asked for; of another class than the internet's with that.
func recordType(s *admin.Sample) string {
	if s.Class != "" && s.Class != dns.ClassINET.String() {
		return s.Class + " " + s.Type
	}
	return dash(s.Type)
}

// took writes a time to answer, with three digits that count.
func took(d time.Duration) string {
	switch {
	case d < time.Microsecond:
		return "< 1 us"
	case d < time.Millisecond:
		return fmt.Sprintf("%d us", d.Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1000)
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// sampleCounts are samples, counted, for programs.
type sampleCounts struct {
	OneIn   int                 `json:"one_in"`
	Samples int                 `json:"samples"`
	Top     []admin.SampleCount `json:"top"`
}

// maxTop is how many rows of counts are shown: what fits on a terminal. --json has them all.
const maxTop = 20

// barColumns is how wide the bar of all samples is.
const barColumns = 30

// countTable draws counts.
func countTable(what string, counts []admin.SampleCount) *terminal.Table {
	t := &terminal.Table{Head: []string{strings.ToUpper(what), " SAMPLES", " SHARE", ""}, Notes: map[int][]string{}}
	total := 0
	for _, c := range counts {
		total += c.Count
	}
	for i, c := range counts {
		if i == maxTop {
			t.Notes[i-1] = []string{fmt.Sprintf("and %s more, of %s", thousands(uint64(len(counts)-maxTop)), what)}
			break
		}
		t.Rows = append(t.Rows, []string{dash(c.Value), thousands(uint64(c.Count)), percent(uint64(c.Count), uint64(total)), terminal.Bar(c.Share, barColumns)})
	}
	return t
}
