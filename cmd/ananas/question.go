package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"unicode"

	"github.com/ananas-edge/ananas/dns"
)

// question reads what people write behind explain: a name and perhaps a type, in either order, as dig has it. With reverse the name is an
// address whose PTR records are meant.
func question(name, typ string, reverse bool) (q dns.Question, err error) {
	q.Class = dns.ClassINET
	addr, notAddr := netip.ParseAddr(name)
	switch {
	case reverse && notAddr != nil:
		return q, hinted{fmt.Errorf("<name>: %q is no address", name), "-x wants one, such as 192.0.2.1 or 2001:db8::1"}
	case reverse:
		name, typ = reverseName(addr), cmp.Or(typ, "PTR")
	case notAddr == nil:
		return q, hinted{fmt.Errorf("<name>: %q is an address", name),
			fmt.Sprintf("-x %s asks for its name; with a dot at its end it is taken for a name", name)}
	}
	q.Type, err = dns.ParseType(cmp.Or(typ, "A"))
	if err != nil {
		first, notType := dns.ParseType(name)
		if notType != nil {
			return q, fmt.Errorf("<type>: %w", err)
		}
		q.Type, name = first, typ
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII }) {
		return q, hinted{fmt.Errorf("<name>: %q has letters outside of ASCII", name),
			"write the name as the DNS has it (RFC 5891: xn--...), as idn2 and browsers show it; single octets are written as \\195"}
	}
	if q.Name, err = dns.ParseName(name); err != nil {
		return q, fmt.Errorf("<name>: %w", err)
	}
	return q, nil
}

// reverseName returns the name at which the PTR records of an address are (RFC 1035 section 3.5, RFC 3596 section 2.5).
func reverseName(a netip.Addr) string {
	if a = a.Unmap(); a.Is4() {
		b := a.As4()
		return fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa.", b[3], b[2], b[1], b[0])
	}
	var s strings.Builder
	b := a.As16()
	for i := len(b) - 1; i >= 0; i-- {
		fmt.Fprintf(&s, "%x.%x.", b[i]&0xf, b[i]>>4)
	}
	return s.String() + "ip6.arpa."
}

// within refuses a number of a flag that is given and is not from 1 to most.
func within(flag string, n *int, most int) error {
	if n != nil && (*n < 1 || *n > most) {
		return fmt.Errorf("%s is %d, not 1 to %d", flag, *n, most)
	}
	return nil
}
