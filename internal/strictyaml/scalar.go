package strictyaml

import (
	"encoding"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// wrong is why a scalar does not fit its type.
type wrong struct{ cause, hint string }

func (w *wrong) Error() string { return w.cause }

func wrongf(hint, format string, args ...any) error {
	return &wrong{fmt.Sprintf(format, args...), hint}
}

// scalar decodes a scalar that is not null.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string, tag reflect.StructTag) {
	err := setScalar(n, v, tag)
	if err == nil {
		return
	}
	if w, ok := err.(*wrong); ok {
		d.add(n, path, w.hint, "%s", w.cause)
		return
	}
	d.add(n, path, "", "%w", err)
}

func setScalar(n *yaml.Node, v reflect.Value, tag reflect.StructTag) error {
	if t, ok := v.Addr().Interface().(interface{ Values() []string }); ok {
		return setOneOf(n, v, t.Values())
	}
	switch p := v.Addr().Interface().(type) {
	case *bool:
		return setBool(n, p)
	case *time.Duration:
		return setDuration(n, p, tag)
	case *Bytes:
		return setBytes(n, p, tag)
	case *netip.Addr:
		return setAddr(n, p, tag)
	case *netip.Prefix:
		return setPrefix(n, p)
	case *netip.AddrPort:
		return setAddrPort(n, p, tag)
	case *time.Time:
		return setTime(n, p)
	case *Text:
		if n.Tag != tagString {
			return wrongf("put it in quotes: "+strconv.Quote(n.Value), "is %s, not text", describeNode(n))
		}
		*p = Text(n.Value)
		return nil
	case encoding.TextUnmarshaler:
		s, err := textOf(n)
		if err != nil {
			return err
		}
		return p.UnmarshalText([]byte(s))
	}
	switch v.Kind() {
	case reflect.Bool:
		var b bool
		if err := setBool(n, &b); err != nil {
			return err
		}
		v.SetBool(b)
		return nil
	case reflect.String:
		s, err := textOf(n)
		if err != nil {
			return err
		}
		v.SetString(s)
		return nil
	}
	return setInt(n, v, tag)
}

// Text is text of several lines, with any characters.
type Text string

// textOf returns the text of a scalar. What YAML takes for a number or a truth value must be quoted, because it may not
// mean what it says: 1e3 and 0o17 are numbers, and so is a zone whose name has only digits.
func textOf(n *yaml.Node) (string, error) {
	if n.Tag != tagString && n.Tag != tagTimestamp {
		return "", wrongf("put it in quotes: "+strconv.Quote(n.Value), "is %s, not text", describeNode(n))
	}
	if i := strings.IndexFunc(n.Value, unicode.IsControl); i >= 0 {
		return "", wrongf("", "has a control character at octet %d", i)
	}
	return n.Value, nil
}

// setOneOf takes the value as written, so that an unquoted `off` or `true` may be one of the values.
func setOneOf(n *yaml.Node, v reflect.Value, values []string) error {
	for _, s := range values {
		if s == n.Value {
			return v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s))
		}
	}
	hint := ""
	if near := nearest(n.Value, values); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return wrongf(hint, "%s is none of %s", clip(n.Value), strings.Join(values, ", "))
}

func setBool(n *yaml.Node, p *bool) error {
	switch {
	case n.Tag == tagBool && (n.Value == "true" || n.Value == "false"):
		*p = n.Value == "true"
		return nil
	case n.Tag == tagString && n.Style != 0 && (n.Value == "true" || n.Value == "false"):
		return wrongf("remove the quotes", "is the text %s, not true or false", clip(n.Value))
	}
	hint := "write true or false"
	switch strings.ToLower(n.Value) {
	case "yes", "on", "y", "1", "true":
		hint = "write true"
	case "no", "off", "n", "0", "false":
		hint = "write false"
	}
	return wrongf(hint, "%s is neither true nor false", clip(n.Value))
}

func setInt(n *yaml.Node, v reflect.Value, tag reflect.StructTag) error {
	if n.Tag == tagString && n.Style != 0 && isDecimal(n.Value) {
		return wrongf("remove the quotes", "is the text %s, not a number", clip(n.Value))
	}
	if !isDecimal(n.Value) {
		hint := "write digits only"
		if n.Tag == tagInt || n.Tag == tagFloat {
			hint = "write a whole decimal number without leading zeros or separators"
		}
		return wrongf(hint, "%s is not a whole number", clip(n.Value))
	}
	set := func(i int64) bool { v.SetInt(i); return v.Int() == i }
	lo, hi := int64(0), int64(1)<<(v.Type().Bits()-1)-1
	if v.CanUint() {
		set = func(i int64) bool { v.SetUint(uint64(i)); return true }
		if bits := v.Type().Bits(); bits < 64 {
			hi = int64(1)<<bits - 1
		}
	}
	lo, hi = bounds(tag, lo, hi, func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) })
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil || i < lo || i > hi {
		return outside(n.Value, strconv.FormatInt(lo, 10), strconv.FormatInt(hi, 10), err == nil && i < lo, tag)
	}
	set(i)
	return nil
}

// isDecimal tells whether s is 0, or digits without a leading zero, maybe after a minus.
func isDecimal(s string) bool {
	s = strings.TrimPrefix(s, "-")
	if s == "" || len(s) > 1 && s[0] == '0' {
		return false
	}
	return strings.Trim(s, "0123456789") == ""
}

func setDuration(n *yaml.Node, p *time.Duration, tag reflect.StructTag) error {
	lo, hi := bounds(tag, 0, int64(1<<63-1), func(s string) (int64, error) { d, err := time.ParseDuration(s); return int64(d), err })
	dur, err := time.ParseDuration(n.Value)
	if err != nil {
		hint := "write it as in 1.8s, 5m or 24h"
		if isDecimal(n.Value) {
			if with := withUnits(n.Value, time.Duration(lo), time.Duration(hi)); with != "" {
				hint = "add the unit: " + with
			}
		} else if days, ok := strings.CutSuffix(n.Value, "d"); ok && isDecimal(days) && len(days) < 6 {
			d, _ := strconv.Atoi(days)
			hint = fmt.Sprintf("write %dh", 24*d)
		}
		return wrongf(hint, "%s is not a duration", clip(n.Value))
	}
	if int64(dur) < lo || int64(dur) > hi {
		return outside(n.Value, FormatDuration(time.Duration(lo)), FormatDuration(time.Duration(hi)), int64(dur) < lo, tag)
	}
	*p = dur
	return nil
}

// withUnits lists the durations from lo to hi that a number may mean, the longest three; "" if there is none.
func withUnits(number string, lo, hi time.Duration) string {
	var fit []string
	for _, unit := range []string{"us", "ms", "s", "m", "h"} {
		if d, err := time.ParseDuration(number + unit); err == nil && d >= lo && d <= hi {
			fit = append(fit, number+unit)
		}
	}
	fit = fit[max(0, len(fit)-3):]
	if n := len(fit) - 1; n > 0 {
		return strings.Join(fit[:n], ", ") + " or " + fit[n]
	}
	return strings.Join(fit, "")
}

func setBytes(n *yaml.Node, p *Bytes, tag reflect.StructTag) error {
	size, err := ParseBytes(n.Value)
	if err != nil {
		return err
	}
	lo, hi := bounds(tag, 0, int64(1<<63-1), func(s string) (int64, error) { b, err := ParseBytes(s); return int64(b), err })
	if int64(size) < lo || int64(size) > hi {
		return outside(n.Value, Bytes(lo).String(), Bytes(hi).String(), int64(size) < lo, tag)
	}
	*p = size
	return nil
}

func setTime(n *yaml.Node, p *time.Time) error {
	t, err := time.Parse(time.RFC3339, n.Value)
	if err != nil {
		return wrongf("write it as 2026-01-31T12:00:00Z or 2026-01-31T13:00:00+01:00 (RFC 3339)", "%s is not a time", clip(n.Value))
	}
	*p = t
	return nil
}

// bounds reads the tags min and max. A mistake in them is one of ours.
func bounds(tag reflect.StructTag, lo, hi int64, parse func(string) (int64, error)) (int64, int64) {
	for _, b := range []struct {
		key string
		to  *int64
	}{{"min", &lo}, {"max", &hi}} {
		s, ok := tag.Lookup(b.key)
		if !ok {
			continue
		}
		v, err := parse(s)
		if err != nil {
			panic(fmt.Sprintf("strictyaml: tag %s:%q: %v", b.key, s, err))
		}
		*b.to = v
	}
	return lo, hi
}

// outside says that a value is out of its bounds; a highest value that only the type sets is told to those who exceed it.
func outside(value, lo, hi string, low bool, tag reflect.StructTag) error {
	if _, ok := tag.Lookup("max"); !ok && low {
		return wrongf("", "%s is out of bounds: %s or more", value, lo)
	}
	return wrongf("", "%s is out of bounds: %s to %s", value, lo, hi)
}

func setAddr(n *yaml.Node, p *netip.Addr, tag reflect.StructTag) error {
	s, err := textOf(n)
	if err != nil {
		return err
	}
	if s == "" && tag.Get("none") == "true" {
		*p = netip.Addr{}
		return nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		hint := "write it as 192.0.2.1 or \"2001:db8::1\""
		if ap, err := netip.ParseAddrPort(s); err == nil {
			hint = fmt.Sprintf("write it without the port: %q", ap.Addr())
		}
		return wrongf(hint, "%s is not an address", clip(s))
	}
	if a.Is4In6() {
		return mapped(a)
	}
	*p = a
	return nil
}

// mapped refuses ::ffff:192.0.2.1: nothing on the wire ever has such an address, so a rule with one would never apply.
func mapped(a netip.Addr) error {
	return wrongf(fmt.Sprintf("write %v", a.Unmap()), "%q is an IPv4 address in IPv6 form", a.String())
}

func setPrefix(n *yaml.Node, p *netip.Prefix) error {
	s, err := textOf(n)
	if err != nil {
		return err
	}
	pre, err := netip.ParsePrefix(s)
	if err != nil {
		hint := "write it as 192.0.2.0/24 or \"2001:db8::/32\""
		if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
			hint = fmt.Sprintf("for this one address write %q", netip.PrefixFrom(a, a.BitLen()))
		}
		return wrongf(hint, "%s is not a prefix", clip(s))
	}
	switch {
	case pre.Addr().Is4In6():
		return mapped(pre.Addr())
	case pre != pre.Masked():
		return wrongf(fmt.Sprintf("did you mean %q, or %q for the one address?", pre.Masked(), netip.PrefixFrom(pre.Addr(), pre.Addr().BitLen())),
			"%s has bits set after its first %d", clip(s), pre.Bits())
	}
	*p = pre
	return nil
}

func setAddrPort(n *yaml.Node, p *netip.AddrPort, tag reflect.StructTag) error {
	s, err := textOf(n)
	if err != nil {
		return err
	}
	if s == "" && tag.Get("none") == "true" {
		*p = netip.AddrPort{}
		return nil
	}
	port, err := strconv.ParseUint(tag.Get("port"), 10, 16)
	mayLack := err == nil
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		a, errAddr := netip.ParseAddr(strings.Trim(s, "[]"))
		switch {
		case errAddr == nil && !mayLack:
			return wrongf(fmt.Sprintf("add it, as in %q", netip.AddrPortFrom(a, 5335)), "%s has no port", clip(s))
		case errAddr != nil || s[0] == '[' != (s[len(s)-1] == ']'):
			hint := "write it as 192.0.2.1:53 or \"[2001:db8::1]:53\""
			if strings.HasPrefix(s, ":") {
				hint = fmt.Sprintf("for all addresses write %q and %q", "0.0.0.0"+s, "[::]"+s)
			} else if strings.ContainsFunc(s, func(r rune) bool { return 'g' <= r && r <= 'z' }) {
				hint = "a name can not be used here; write its address"
			}
			return wrongf(hint, "%s is not an address with a port", clip(s))
		}
		ap = netip.AddrPortFrom(a, uint16(port))
	}
	if ap.Addr().Is4In6() {
		return mapped(ap.Addr())
	}
	if mayLack && ap.Port() == 0 && tag.Get("free") != "true" {
		return wrongf("", "%s has port 0, where nothing can answer", clip(s))
	}
	*p = ap
	return nil
}
