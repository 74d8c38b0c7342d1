package vitals

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ananas-edge/ananas/rollout"
)

// Limits of a report.
const (
	// MaxReport is the length of a report in octets. A row has some 80, so this is 3,000 nodes; those that do not fit are in the next one.
	MaxReport = 256 << 10

	// MaxRows is how many rows a report has at most, sums and nodes each: an octet each would be less than MaxReport, so this bounds the memory that reading takes.
	MaxRows = 8192

	maxSets   = 64  // change sets of one node; 32 may be open, and as many be ending
	maxProbes = 32  // probes of one node
	maxText   = 400 // octets of an error
	maxFault  = 100 // octets of a module, its phase and a word: 63, 14 and what is left
)

// faultProbe stands in the place of a rollout's id, which has no slash, before the fault of a module: releases that do not know it take it for the probe of a rollout that is not there, and hand it on.
const faultProbe = "fault/module"

// Node is what a node says of itself.
type Node struct {
	rollout.NodeState
	Copy    uint64        // version of its copy, which may be later than that of its table
	Age     time.Duration // since the root last confirmed its copy; negative: never
	Via     string        // the node that it follows; "": none
	Release string        // version of the program
	Role    string        // root or follower
}

// Sum is what the clients of some nodes saw since the report before: of those of one site that have the same change sets in tables of one lineage.
type Sum struct {
	Lineage string
	Site    string
	Sets    []rollout.ID // sorted
	Nodes   int          // that are in it
	rollout.Sum
}

// Report is what goes up, once a second.
type Report struct {
	Nodes []Node
	Sums  []Sum
}

// reportFormat is the first octet of a report. Later ones may follow; who does not know a report leaves it out.
const reportFormat = 1

// Append appends the report to b.
func (r *Report) Append(b []byte) []byte {
	b = append(b, reportFormat)
	b = binary.AppendUvarint(b, uint64(len(r.Nodes)))
	for i := range r.Nodes {
		b = appendNode(b, &r.Nodes[i])
	}
	b = binary.AppendUvarint(b, uint64(len(r.Sums)))
	for i := range r.Sums {
		b = appendSum(b, &r.Sums[i])
	}
	return b
}

func appendText(b []byte, s string, most int) []byte {
	s = clip(s, most)
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func clip(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	for len(s) > most {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}

func appendIDs(b []byte, ids []rollout.ID) []byte {
	ids = ids[:min(len(ids), maxSets)]
	b = binary.AppendUvarint(b, uint64(len(ids)))
	for _, id := range ids {
		b = appendText(b, string(id), rollout.MaxID)
	}
	return b
}

func appendNode(b []byte, n *Node) []byte {
	b = appendText(b, n.Name, rollout.MaxName)
	b = appendText(b, n.Site, rollout.MaxName)
	b = appendText(b, n.Lineage, rollout.MaxName)
	b = binary.AppendUvarint(b, n.Version)
	b = appendIDs(b, n.Sets)
	b = binary.LittleEndian.AppendUint64(b, n.Boot)
	b = appendIDs(b, n.Refused)
	b = appendText(b, n.Error, maxText)
	probes := n.Probes[:min(len(n.Probes), maxProbes)]
	if n.Fault != "" && len(probes) < maxProbes { // else what is judged by goes first
		probes = append(probes[:len(probes):len(probes)], rollout.Probe{Rollout: faultProbe, Error: clip(n.Fault, maxFault)})
	}
	b = binary.AppendUvarint(b, uint64(len(probes)))
	for _, p := range probes {
		b = appendText(b, string(p.Rollout), rollout.MaxID)
		b = binary.AppendUvarint(b, p.Passed)
		b = binary.AppendUvarint(b, p.Failing)
		b = appendText(b, p.Error, maxText)
	}
	b = binary.AppendUvarint(b, n.Copy)
	b = binary.AppendVarint(b, n.Age.Milliseconds())
	b = appendText(b, n.Via, rollout.MaxName)
	b = appendText(b, n.Release, rollout.MaxName)
	return appendText(b, n.Role, rollout.MaxName)
}

// counts are all counts of a sum in one order.
func counts(s *rollout.Sum) []*uint64 {
	out := make([]*uint64, 0, len(s.Results)+len(s.Latency)+3)
	for i := range s.Results {
		out = append(out, &s.Results[i])
	}
	out = append(out, &s.Panics, &s.Faults)
	for i := range s.Latency {
		out = append(out, &s.Latency[i])
	}
	return append(out, &s.Decided)
}

// appendSum writes the counts that are not 0, each behind its place.
func appendSum(b []byte, s *Sum) []byte {
	b = appendText(b, s.Lineage, rollout.MaxName)
	b = appendText(b, s.Site, rollout.MaxName)
	b = appendIDs(b, s.Sets)
	b = binary.AppendUvarint(b, uint64(max(s.Nodes, 0)))
	all, some := counts(&s.Sum), 0
	for _, c := range all {
		if *c != 0 {
			some++
		}
	}
	b = binary.AppendUvarint(b, uint64(some))
	for i, c := range all {
		if *c != 0 {
			b = binary.AppendUvarint(b, uint64(i))
			b = binary.AppendUvarint(b, *c)
		}
	}
	return b
}

// Parse reads a report.
func Parse(b []byte) (*Report, error) {
	if len(b) > MaxReport {
		return nil, fmt.Errorf("reading a report: it has %d octets, more than %d", len(b), MaxReport)
	}
	d := decoder{b: b}
	if f := d.octet(); d.err == nil && f != reportFormat {
		return nil, fmt.Errorf("reading a report: its format is %d; this release reads %d", f, reportFormat)
	}
	r := new(Report)
	for range d.count(MaxRows) {
		r.Nodes = append(r.Nodes, d.node())
	}
	for range d.count(MaxRows) {
		r.Sums = append(r.Sums, d.sum())
	}
	if d.err == nil && len(d.b) > 0 {
		d.err = fmt.Errorf("%d octets follow it", len(d.b))
	}
	if d.err != nil {
		return nil, fmt.Errorf("reading a report: %w", d.err)
	}
	return r, nil
}

type decoder struct {
	b   []byte
	err error
}

var errShort = errors.New("it ends too early")

func (d *decoder) take(n uint64) []byte {
	if d.err == nil && n > uint64(len(d.b)) {
		d.err = errShort
	}
	if d.err != nil {
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) octet() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) number() uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.err = errShort
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads how many of something follow, each of an octet at least; 0 after an error.
func (d *decoder) count(most uint64) uint64 {
	n := d.number()
	if d.err == nil && (n > most || n > uint64(len(d.b))) {
		d.err = fmt.Errorf("it has %d of something, more than %d or than there is", n, most)
	}
	if d.err != nil {
		return 0
	}
	return n
}

func (d *decoder) text(most uint64) string {
	n := d.number()
	if d.err == nil && n > most {
		d.err = fmt.Errorf("a text has %d octets, more than %d", n, most)
	}
	s := string(d.take(n))
	if d.err == nil && !utf8.ValidString(s) {
		d.err = errors.New("a text is not UTF-8")
	}
	return s
}

func (d *decoder) ids() []rollout.ID {
	var ids []rollout.ID
	for range d.count(maxSets) {
		ids = append(ids, rollout.ID(d.text(rollout.MaxID)))
	}
	slices.Sort(ids)
	return ids
}

func (d *decoder) node() (n Node) {
	n.Name, n.Site, n.Lineage = d.text(rollout.MaxName), d.text(rollout.MaxName), d.text(rollout.MaxName)
	n.Version, n.Sets = d.number(), d.ids()
	if b := d.take(8); b != nil {
		n.Boot = binary.LittleEndian.Uint64(b)
	}
	n.Refused, n.Error = d.ids(), d.text(maxText)
	for range d.count(maxProbes) {
		p := rollout.Probe{Rollout: rollout.ID(d.text(rollout.MaxID)), Passed: d.number(), Failing: d.number(), Error: d.text(maxText)}
		if p.Rollout == faultProbe {
			n.Fault = clip(p.Error, maxFault)
			continue
		}
		n.Probes = append(n.Probes, p)
	}
	n.Copy = d.number()
	if d.err == nil {
		ms, used := binary.Varint(d.b)
		if used <= 0 {
			d.err = errShort
			return n
		}
		d.b = d.b[used:]
		n.Age = time.Duration(min(max(ms, -1), int64(maxAge/time.Millisecond))) * time.Millisecond
	}
	n.Via, n.Release, n.Role = d.text(rollout.MaxName), d.text(rollout.MaxName), d.text(rollout.MaxName)
	if d.err == nil && n.Name == "" {
		d.err = errors.New("a node has no name")
	}
	return n
}

// maxAge is the longest age that is told: a hundred years.
const maxAge = 100 * 365 * 24 * time.Hour

func (d *decoder) sum() (s Sum) {
	s.Lineage, s.Site, s.Sets = d.text(rollout.MaxName), d.text(rollout.MaxName), d.ids()
	s.Nodes = int(min(d.number(), 1<<30))
	all := counts(&s.Sum)
	for range d.count(uint64(len(all))) {
		i, n := d.number(), d.number()
		if d.err == nil && i >= uint64(len(all)) {
			d.err = fmt.Errorf("there is no count %d", i)
		}
		if d.err == nil {
			*all[i] = min(n, rollout.MaxCount)
		}
	}
	return s
}
