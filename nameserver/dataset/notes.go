package dataset

import (
	"fmt"
	"strings"

	"github.com/ananas-edge/ananas/dns"
)

// NoteKind is a kind of what was read and should be known of by whoever brings the list.
type NoteKind uint8

// The kinds. The first four are records of a response policy zone for other things than the name of the query, which are not taken.
const (
	NoteClientIP NoteKind = iota // rpz-client-ip: who asks
	NoteIP                       // rpz-ip: an address of the answer
	NoteNSDName                  // rpz-nsdname: a name server of the answer
	NoteNSIP                     // rpz-nsip: an address of such
	NoteTCPOnly                  // taken as ActionTCPOnly
	NoteLocal                    // taken as ActionLocal, without the records
	NoteBad                      // lines that were tolerated
	NoteTopLevel                 // taken, and standing for all names below a top-level domain, or for every name

	noteKinds = NoteTopLevel + 1
)

// Note is how often one kind was met, and where first.
type Note struct {
	Count int
	First [notePlaces]Place // those with a line are set
}

// Place is a line of the list's text.
type Place struct {
	Line int    // from 1; 0: none
	Text string // the name, or how the line begins; at most notedText octets
}

const (
	notePlaces = 3  // of each kind that are kept: enough to see what is meant
	notedText  = 80 // octets of each that are kept: 8 × 3 × 80 are 2 KB a list
)

// add notes one more.
func (n *Note) add(line int, text string) {
	if n.Count < notePlaces {
		n.First[n.Count] = Place{line, text[:min(len(text), notedText)]}
	}
	n.Count++
}

// note notes a name in wire form without its root label.
func (d *reader) note(k NoteKind, name []byte) {
	text := "."
	if n, err := dns.NameFromWire(append(name[:len(name):len(name)], 0)); err == nil && len(name) > 0 {
		text = strings.TrimSuffix(n.String(), ".")
	}
	d.info.Notes[k].add(d.line, text)
}

// triggerKinds are the last labels of triggers that are not taken.
var triggerKinds = map[string]NoteKind{"rpz-client-ip": NoteClientIP, "rpz-ip": NoteIP, "rpz-nsdname": NoteNSDName, "rpz-nsip": NoteNSIP}

// Remark is something about a list that is allowed, and that whoever brings it should know.
type Remark struct {
	Text string
	Hint string // what to do
}

// Remarks tells of all that, of a list of this name.
func (i Info) Remarks(name string) (out []Remark) {
	if i.Taken == 0 {
		out = append(out, Remark{fmt.Sprintf("data set %q has no entries", name),
			"is the file whole? what a publisher serves while he is out of order looks like this; fetch it again, or take the data set out of the settings if nobody needs it"})
	}
	if n := &i.Notes[NoteTopLevel]; n.Count > 0 {
		out = append(out, Remark{fmt.Sprintf("data set %q: %s all names below a top-level domain: %s", name, counted(n.Count, "entry stands for", "entries stand for"), n.places()),
			"take them out, unless all of these names are meant"})
	}
	const more = "a list is asked for the name of the query alone; docs/modules.md has what of a response policy zone is taken"
	for _, t := range []struct {
		kind              NoteKind
		one, others, hint string
	}{
		{NoteClientIP, "record for addresses of clients (rpz-client-ip) is not taken", "records for addresses of clients (rpz-client-ip) are not taken", more},
		{NoteIP, "record for addresses in answers (rpz-ip) is not taken", "records for addresses in answers (rpz-ip) are not taken", more},
		{NoteNSDName, "record for names of name servers (rpz-nsdname) is not taken", "records for names of name servers (rpz-nsdname) are not taken", more},
		{NoteNSIP, "record for addresses of name servers (rpz-nsip) is not taken", "records for addresses of name servers (rpz-nsip) are not taken", more},
		{NoteTCPOnly, "record wants TCP alone (rpz-tcp-only), for which modules have no verdict", "records want TCP alone (rpz-tcp-only), for which modules have no verdict",
			"family lets these names through; write CNAME . for what is to be blocked"},
		{NoteLocal, "record is an answer of the zone's own, which is not kept", "records are answers of the zone's own, which are not kept",
			"modules find that there is one, and not which: family answers these names as it does others that it blocks"},
		{NoteBad, "line can't be read and was left out", "lines can't be read and were left out", "tolerate allows that; correct them, or leave them as they are"},
	} {
		if n := &i.Notes[t.kind]; n.Count > 0 {
			out = append(out, Remark{fmt.Sprintf("data set %q: %s: %s", name, counted(n.Count, t.one, t.others), n.places()), t.hint})
		}
	}
	return out
}

// counted is a number and what is counted.
func counted(n int, one, others string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, others)
}

// places names the first ones, and how many more there are.
func (n *Note) places() string {
	var all []string
	for _, p := range n.First {
		if p.Line > 0 {
			all = append(all, fmt.Sprintf("%s (line %d)", p.Text, p.Line))
		}
	}
	text := strings.Join(all, ", ")
	if more := n.Count - len(all); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// appendNotes writes notes: for each kind how many there were, 8 octets, how many places follow, 1, and for each of these its line, 4, the length of its text, 1, and the text. Where there is nothing to
// note it writes nothing.
func appendNotes(b []byte, notes *[noteKinds]Note) []byte {
	if *notes == [noteKinds]Note{} {
		return b
	}
	for k := range notes {
		n := &notes[k]
		b = le.AppendUint64(b, uint64(n.Count))
		kept := min(n.Count, notePlaces)
		b = append(b, byte(kept))
		for _, p := range n.First[:kept] {
			b = le.AppendUint32(b, uint32(p.Line))
			b = append(append(b, byte(len(p.Text))), p.Text...)
		}
	}
	return b
}

// readNotes reads what appendNotes writes; false if it is something else.
func readNotes(b []byte, notes *[noteKinds]Note) bool {
	if len(b) == 0 {
		return true
	}
	for k := range notes {
		n := &notes[k]
		if len(b) < 9 || b[8] > notePlaces {
			return false
		}
		n.Count = int(le.Uint64(b))
		kept := int(b[8])
		b = b[9:]
		for i := range kept {
			if len(b) < 5 || len(b)-5 < int(b[4]) {
				return false
			}
			end := 5 + int(b[4])
			n.First[i] = Place{int(le.Uint32(b)), string(b[5:end])}
			b = b[end:]
		}
	}
	return len(b) == 0
}
