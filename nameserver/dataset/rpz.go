package dataset

import (
	"bytes"
	"fmt"

	"github.com/ananas-edge/ananas/dns"
)

// Action is what a response policy zone wants done, the value of its names.
type Action uint8

// The actions, with the records that stand for them (draft-vixie-dnsop-dns-rpz section 3).
const (
	ActionNXDomain Action = 1 + iota // CNAME .
	ActionNoData                     // CNAME *.
	ActionPassthru                   // CNAME rpz-passthru., and in its old form, CNAME of the trigger itself
	ActionDrop                       // CNAME rpz-drop.
	ActionTCPOnly                    // CNAME rpz-tcp-only.
	ActionLocal                      // any other record: an answer of the zone's own. That there is one is kept, not what it is.
)

var actions = [...]string{"none", "nxdomain", "nodata", "passthru", "drop", "tcp-only", "local"}

func (a Action) String() string {
	if int(a) < len(actions) {
		return actions[a]
	}
	return fmt.Sprintf("action %d", uint8(a))
}

// zone is where the reader of a response policy zone is. It reads zone files as RFC 1035 section 5 has them, a record at a time, since the zone
// parser of package dns holds all records; what it does not understand, it refuses: $INCLUDE, $GENERATE, and quoted strings over several lines.
// Where $ORIGIN is missing, as it is in most published lists, names are relative to a zone without a name.
type zone struct {
	record []byte // of a record that goes on in the next line, what there is of it
	depth  int    // of parentheses
	origin []byte // wire form without root label, as all names here
	apex   []byte // of the zone: the owner of its SOA record
	hasSOA bool
	owner  []byte // of the last record
	first  bool   // an owner has been seen
	target []byte
}

// parseZone reads a line, and the record if it ends here.
func (d *reader) parseZone(text []byte) error {
	z := &d.zone
	if z.depth == 0 {
		z.record = z.record[:0]
	} else {
		z.record = append(z.record, ' ')
	}
	quoted := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && i+1 < len(text):
			z.record = append(z.record, c)
			i++
			c = text[i]
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == ';':
			i = len(text)
			continue
		case c == '(':
			z.depth++
			c = ' '
		case c == ')':
			if z.depth--; z.depth < 0 {
				z.depth = 0
				return refuse("a parenthesis is closed that was not opened", "take it out")
			}
			c = ' '
		}
		z.record = append(z.record, c)
	}
	switch {
	case quoted:
		return refuse("a quoted string does not end in its line", "end it, or write \\010 for the line break")
	case len(z.record) > d.o.Limits.Line:
		return &LimitError{inLine, int64(d.o.Limits.Line), d.line}
	case z.depth > 0:
		return nil
	}
	return d.parseRecord(z.record)
}

func (d *reader) parseRecord(text []byte) error {
	z := &d.zone
	f, rest := field(text)
	if len(f) == 0 {
		return nil
	}
	if f[0] == '$' {
		return z.directive(f, rest)
	}
	var err error
	if isSpace(text[0]) {
		rest = text // the owner is that of the record before
		if !z.first {
			return refuse("the first record has no owner", "write a name or @ at the beginning of the line")
		}
	} else {
		if z.owner, err = z.name(z.owner[:0], f); err != nil {
			return err
		}
		z.first = true
	}
	typ, data, err := recordType(rest)
	if err != nil {
		return err
	}
	switch typ {
	case "SOA":
		if z.hasSOA {
			return refuse("the zone has a second SOA record", "give each zone a file of its own")
		}
		z.hasSOA = true
		z.apex = append(z.apex[:0], z.owner...)
		d.info.Skipped++
		return nil
	case "NS", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "DNSKEY", "DS", "CDS", "CDNSKEY", "ZONEMD":
		d.info.Skipped++
		return nil
	case "DNAME":
		return refuse("a response policy zone has no DNAME records", "write a CNAME record for the name and one for *. before it")
	}
	trigger, ok := z.trigger()
	switch {
	case !ok:
		return refuse("the name is not within the zone", "write it with the zone's name at its end, or without a final dot")
	case len(trigger) == 0:
		d.info.Skipped++ // data of the zone itself
		return nil
	}
	if kind, other := triggerKinds[string(lastLabel(trigger))]; other {
		d.info.OtherTriggers++
		d.note(kind, trigger)
		return nil
	}
	action := ActionLocal
	if typ == "CNAME" {
		if action, err = z.action(trigger, data); err != nil {
			return err
		}
	}
	switch action {
	case ActionTCPOnly:
		d.note(NoteTCPOnly, trigger)
	case ActionLocal:
		d.note(NoteLocal, trigger)
	}
	scope := byte(self)
	if trigger[0] == 1 && trigger[1] == '*' {
		if action != ActionPassthru && topLevel(trigger[2:]) { // to let a whole domain through is what it is done for
			d.note(NoteTopLevel, trigger)
		}
		trigger, scope = trigger[2:], below
	}
	d.c.addName(trigger, scope, byte(action))
	return nil
}

func (z *zone) directive(f, rest []byte) (err error) {
	switch string(bytes.ToUpper(f)) {
	case "$TTL":
		return nil // an answer's TTL is for whoever makes it
	case "$ORIGIN":
		arg, _ := field(rest)
		if len(arg) == 0 {
			return refuse("the name is missing", "write the zone's name after $ORIGIN")
		}
		name, err := z.name(nil, arg)
		if err == nil {
			z.origin = name
		}
		return err
	}
	return refuse("this directive is not understood", "expand it: of directives $ORIGIN and $TTL are read")
}

// name appends the name that text is, relative to the origin if it has no final dot.
func (z *zone) name(b, text []byte) ([]byte, error) {
	start := len(b)
	if string(text) == "@" {
		return append(b, z.origin...), nil
	}
	if i := bytes.IndexFunc(text, func(r rune) bool { return r >= 0x80 }); i >= 0 {
		return b, strange(text, text[i])
	}
	n, err := dns.ParseName(string(text))
	if err != nil {
		return b, refuse(fmt.Sprintf("%q is no name", text), "write at most 63 octets between dots and 253 in all, and no empty label")
	}
	w := n.Lower().Wire()
	b = append(b, w[:len(w)-1]...)
	if !absolute(text) {
		b = append(b, z.origin...)
	}
	if len(b)-start > maxName {
		return b[:start], refuse("the name is longer than 255 octets", "take the line out: no such name can be asked for")
	}
	return b, nil
}

// absolute tells whether a name ends with a dot that is not escaped.
func absolute(text []byte) bool {
	if !bytes.HasSuffix(text, []byte(".")) {
		return false
	}
	n := 0
	for i := len(text) - 2; i >= 0 && text[i] == '\\'; i-- {
		n++
	}
	return n%2 == 0
}

// recordType reads what follows the owner: TTL and class, in any order and both optional, and the type, which it returns in upper case.
func recordType(text []byte) (string, []byte, error) {
	for range 3 {
		f, rest := field(text)
		up := bytes.ToUpper(f)
		switch {
		case len(f) == 0:
			return "", nil, refuse("a record's type is missing", "write CNAME and an action after the name; a name alone makes a list of domains, and no zone")
		case f[0] >= '0' && f[0] <= '9', string(up) == "IN":
			text = rest
			continue
		case string(up) == "CNAME":
			return "CNAME", rest, nil
		}
		if _, err := dns.ParseType(string(up)); err != nil {
			return "", nil, refuse(fmt.Sprintf("%q is no type of a record", f), "write CNAME and an action after the name")
		}
		return string(up), rest, nil
	}
	return "", nil, refuse("a record's type is missing", "write CNAME and an action after the name")
}

// trigger is the owner without the name of the zone; false if it is not within the zone.
func (z *zone) trigger() ([]byte, bool) {
	apex := z.apex
	if !z.hasSOA {
		apex = z.origin
	}
	d := len(z.owner) - len(apex)
	i := 0
	for i < d {
		i += 1 + int(z.owner[i])
	}
	if i != d || !bytes.Equal(z.owner[i:], apex) {
		return nil, false
	}
	return z.owner[:d], true
}

// lastLabel is the last label of a trigger, which says what it is for if that is not a name.
func lastLabel(trigger []byte) []byte {
	last := 0
	for i := 0; i < len(trigger); i += 1 + int(trigger[i]) {
		last = i
	}
	return trigger[last+1:]
}

// action is what a CNAME record stands for.
func (z *zone) action(trigger, data []byte) (_ Action, err error) {
	f, rest := field(data)
	if len(f) == 0 {
		return 0, refuse("the target of the CNAME record is missing", "write . for NXDOMAIN, *. for NODATA, rpz-passthru. or rpz-drop.")
	}
	if more, _ := field(rest); len(more) > 0 {
		return 0, refuse(fmt.Sprintf("%q follows the target of the CNAME record", more), "begin comments with ;")
	}
	switch string(bytes.ToLower(f)) {
	case ".":
		return ActionNXDomain, nil
	case "*.":
		return ActionNoData, nil
	case "rpz-passthru.":
		return ActionPassthru, nil
	case "rpz-drop.":
		return ActionDrop, nil
	case "rpz-tcp-only.":
		return ActionTCPOnly, nil
	case "*", "rpz-passthru", "rpz-drop", "rpz-tcp-only":
		return 0, refuse("the action has no final dot, so it is a name in this zone", fmt.Sprintf("write %s.", f))
	}
	if z.target, err = z.name(z.target[:0], f); err != nil {
		return 0, err
	}
	if bytes.Equal(z.target, trigger) {
		return ActionPassthru, nil
	}
	return ActionLocal, nil
}
