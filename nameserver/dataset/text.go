package dataset

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/netip"
	"strconv"
)

// Format is how the text of a list is written.
type Format uint8

// The formats. In all of them blank lines do not matter, and what follows a "#" or a ";" is a comment (in response policy zones: a ";" alone).
const (
	// Auto takes the format of the first line that is no comment.
	Auto Format = iota

	// Hosts is a hosts file: an address, then names. Any address will do; it is not kept. Names of the machine itself (localhost and the like) are
	// skipped.
	Hosts

	// Domains has a name a line, and after it perhaps its value, 0 to 255. A name stands for itself and, where [Set.Suffix] asks, for all below it.
	// "*.example.com" and ".example.com" are the same as "example.com": lists that are written that way leave the bare name out.
	Domains

	// RPZ is the file of a response policy zone (draft-vixie-dnsop-dns-rpz): of its records, those whose trigger is the name of the query. Each
	// name's value is its [Action]. "*.example.com" is for the names below alone, and "example.com" for itself alone.
	RPZ

	// CIDR has an address or a prefix a line, and after it perhaps its value.
	CIDR

	lastFormat = CIDR
)

var formats = [...]string{"auto", "hosts", "domains", "rpz", "cidr"}

func (f Format) String() string {
	if int(f) < len(formats) {
		return formats[f]
	}
	return strconv.Itoa(int(f))
}

// ParseFormat reads what [Format.String] writes.
func ParseFormat(s string) (Format, error) {
	for i, name := range formats {
		if s == name {
			return Format(i), nil
		}
	}
	return 0, fmt.Errorf("%q is no format of a data set: auto, hosts, domains, rpz or cidr", s)
}

// LineError says what line of a list can't be read.
type LineError struct {
	Line int    // from 1
	Text string // how it begins
	Why  string
	Mend string
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %q: %s", e.Line, e.Text, e.Why) }

// Hint tells what to do now.
func (e *LineError) Hint() string { return e.Mend }

// refusal is why a line can't be read, before it is known which it is.
type refusal struct{ why, mend string }

func (r *refusal) Error() string { return r.why }

func refuse(why, mend string) error { return &refusal{why, mend} }

// reader reads a list line by line.
type reader struct {
	o    Options
	c    *compiler
	info *Info

	line    int // being read
	name    []byte
	address []byte // of the last line of a hosts file: mostly it is the same again
	zone    zone
}

// read reads all of a list into c.
func read(r io.Reader, sum hash.Hash, o Options, c *compiler, info *Info) error {
	d := &reader{o: o, c: c, info: info}
	info.Format = o.Format
	b := bufio.NewReaderSize(r, o.Limits.Line+2) // CR and LF
	for {
		text, err := b.ReadSlice('\n')
		sum.Write(text)
		info.SourceOctets += int64(len(text))
		if len(text) > 0 {
			d.line++
			c.line = d.line
		}
		switch {
		case info.SourceOctets > o.Limits.Source:
			return &LimitError{ofSource, o.Limits.Source, d.line}
		case errors.Is(err, bufio.ErrBufferFull):
			return &LimitError{inLine, int64(o.Limits.Line), d.line}
		case err != nil && err != io.EOF:
			return fmt.Errorf("line %d: %w", d.line+1, err)
		}
		if d.line == 1 {
			text = bytes.TrimPrefix(text, []byte("\ufeff"))
		}
		text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
		if e := d.take(text); e != nil {
			return e
		}
		if err == io.EOF {
			return d.end()
		}
	}
}

// take reads a line. A refusal is an error if no more are tolerated.
func (d *reader) take(text []byte) error {
	err := d.parse(text)
	if c := d.c; c.count+len(c.v4)+len(c.v6) > d.o.Limits.Entries {
		return &LimitError{ofEntries, int64(d.o.Limits.Entries), d.line}
	}
	return d.judge(err, text)
}

func (d *reader) judge(err error, text []byte) error {
	var r *refusal
	if !errors.As(err, &r) {
		return err
	}
	if d.info.Bad < d.o.Tolerate {
		d.info.Bad++
		d.info.Notes[NoteBad].add(d.line, string(text[:min(len(text), notedText)]))
		return nil
	}
	const shown = 80
	return &LineError{d.line, string(text[:min(len(text), shown)]), r.why, r.mend}
}

func (d *reader) end() error {
	if d.info.Format == RPZ && d.zone.depth > 0 {
		return d.judge(refuse("the file ends within parentheses", "close them, or fetch the file again: it may be cut short"), d.zone.record)
	}
	return nil
}

func (d *reader) parse(text []byte) error {
	if d.info.Format == Auto {
		if text := bytes.TrimSpace(text); len(text) == 0 || text[0] == '#' || text[0] == ';' || text[0] == '!' {
			return nil
		}
		f, err := detect(text)
		if err != nil {
			return err
		}
		d.info.Format = f
	}
	if d.info.Format == RPZ {
		return d.parseZone(text)
	}
	if i := bytes.IndexAny(text, "#;"); i >= 0 {
		text = text[:i]
	}
	first, rest := field(text)
	if len(first) == 0 || first[0] == '!' {
		return nil
	}
	switch d.info.Format {
	case Hosts:
		return d.parseHosts(first, rest)
	case Domains:
		return d.parseDomain(first, rest)
	}
	return d.parseCIDR(first, rest)
}

// detect tells of which format a line is.
func detect(text []byte) (Format, error) {
	if text[0] == '$' {
		return RPZ, nil
	}
	plain := text
	if i := bytes.IndexAny(plain, "#;"); i >= 0 {
		plain = plain[:i]
	}
	first, rest := field(plain)
	second, more := field(rest)
	_, number := parseValue(second)
	if _, err := parsePrefix(first); err == nil {
		if len(second) == 0 || number && len(more) == 0 {
			return CIDR, nil
		}
		return Hosts, nil
	}
	for f, r := second, more; len(f) > 0; f, r = field(r) {
		switch string(bytes.ToUpper(f)) {
		case "SOA", "NS", "CNAME", "IN":
			return RPZ, nil
		}
	}
	switch string(bytes.ToUpper(first)) {
	case "SOA", "NS", "CNAME", "IN": // the owner is left out
		if len(second) > 0 {
			return RPZ, nil
		}
	}
	if _, err := appendName(nil, first); err != nil {
		return Auto, err
	}
	if len(second) > 0 && (second[0] < '0' || second[0] > '9') {
		return Auto, refuse("this begins as none of the formats that are understood",
			"write a hosts file (0.0.0.0 name), domains (a name a line), a response policy zone (name CNAME .) or CIDR prefixes (a prefix a line)")
	}
	return Domains, nil
}

// field returns the first field of text and what follows it.
func field(text []byte) (first, rest []byte) {
	i := 0
	for i < len(text) && isSpace(text[i]) {
		i++
	}
	j := i
	for j < len(text) && !isSpace(text[j]) {
		j++
	}
	return text[i:j], text[j:]
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

// parseValue reads a number from 0 to 255.
func parseValue(b []byte) (uint8, bool) {
	if len(b) == 0 || len(b) > 3 {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return uint8(n), n <= 255
}

// value reads what may follow an entry.
func (d *reader) value(rest []byte) (uint8, error) {
	f, rest := field(rest)
	if len(f) == 0 {
		return d.o.Value, nil
	}
	v, ok := parseValue(f)
	if more, _ := field(rest); !ok || len(more) > 0 {
		return 0, refuse(fmt.Sprintf("%q is no value", bytes.TrimSpace(append(f[:len(f):len(f)], rest...))),
			"write one entry a line, and after it nothing or a number from 0 to 255; begin comments with #")
	}
	return v, nil
}

func (d *reader) parseDomain(first, rest []byte) error {
	var err error
	if d.name, err = appendName(d.name[:0], first); err != nil {
		return err
	}
	v, err := d.value(rest)
	if err == nil {
		d.addDomain(v)
	}
	return err
}

// addDomain adds d.name and all that is below it.
func (d *reader) addDomain(value byte) {
	if topLevel(d.name) {
		d.note(NoteTopLevel, d.name)
	}
	d.c.addName(d.name, self|below, value)
}

// topLevel tells whether a name, in wire form without its root label, has one label, or none.
func topLevel(name []byte) bool { return len(name) == 0 || int(name[0])+1 == len(name) }

// ofMachine are the names that hosts files have for the machine itself and for groups in its network.
func ofMachine(name []byte) bool {
	switch string(bytes.ToLower(bytes.TrimSuffix(name, []byte(".")))) {
	case "localhost", "localhost.localdomain", "localhost4", "localhost6", "localhost4.localdomain4", "localhost6.localdomain6", "local", "broadcasthost",
		"ip6-localhost", "ip6-loopback", "ip6-localnet", "ip6-mcastprefix", "ip6-allnodes", "ip6-allrouters", "ip6-allhosts", "0.0.0.0":
		return true
	}
	return false
}

func (d *reader) parseHosts(first, rest []byte) error {
	if !bytes.Equal(first, d.address) {
		if _, err := netip.ParseAddr(string(first)); err != nil {
			return refuse("a line of a hosts file begins with an address", "write 0.0.0.0 before the name, or set the format if this is no hosts file")
		}
		d.address = append(d.address[:0], first...)
	}
	name, rest := field(rest)
	if len(name) == 0 {
		return refuse("a name is missing after the address", "write the name, or take the line out")
	}
	for ; len(name) > 0; name, rest = field(rest) {
		if ofMachine(name) {
			d.info.Skipped++
			continue
		}
		var err error
		if d.name, err = appendName(d.name[:0], name); err != nil {
			return err
		}
		d.addDomain(d.o.Value)
	}
	return nil
}

// parsePrefix reads a prefix, or an address as one.
func parsePrefix(b []byte) (netip.Prefix, error) {
	if bytes.IndexByte(b, '/') >= 0 {
		return netip.ParsePrefix(string(b))
	}
	a, err := netip.ParseAddr(string(b))
	if err != nil {
		return netip.Prefix{}, err
	}
	return a.WithZone("").Prefix(a.BitLen())
}

func (d *reader) parseCIDR(first, rest []byte) error {
	p, err := parsePrefix(first)
	if err != nil {
		return refuse("this is no address or prefix", "write it as 192.0.2.0/24 or 2001:db8::/32, one a line")
	}
	if p.Masked() != p {
		return refuse("it has bits set after its length", fmt.Sprintf("write %v, or take the length out if one address is meant", p.Masked()))
	}
	if p.Addr().Is4In6() {
		return refuse("it is IPv4 in IPv6 form", "write it as IPv4")
	}
	v, err := d.value(rest)
	if err != nil {
		return err
	}
	d.c.addPrefix(p, v)
	return nil
}
