package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// maxWorldText bounds a world file, in octets: a hundred times the largest that tests use.
const maxWorldText = 4 << 20

// ParseWorld reads a world file (docs/lab.md). Errors are *[ParseError].
func ParseWorld(text string) (*World, error) {
	if len(text) > maxWorldText {
		return nil, at(1, "world is longer than %d octets", maxWorldText)
	}
	w := &World{defaults: serverSpec{jitter: 0, loss: 0}}
	sections, err := split(text)
	if err != nil {
		return nil, err
	}
	for _, s := range sections {
		if err := w.section(s); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// MustParseWorld is [ParseWorld] for worlds in source code; it panics on a bad one.
func MustParseWorld(text string) *World {
	w, err := ParseWorld(text)
	if err != nil {
		panic("lab: parsing world: " + err.Error())
	}
	return w
}

// section is a header line, "[kind word key=value]", and the lines up to the next header.
type section struct {
	line int // of the header
	kind string
	args []token
	body []string
}

// token is "key=value", or a word without a key.
type token struct{ key, value string }

func split(text string) ([]section, error) {
	var sections []section
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, " \t\r")
		if strings.HasPrefix(line, "[") {
			inner, ok := strings.CutSuffix(line[1:], "]")
			if !ok {
				return nil, at(i+1, "section header %q does not end in ]", line)
			}
			tokens, err := tokenise(inner)
			if err != nil {
				return nil, at(i+1, "section header %q: %w", line, err)
			}
			if len(tokens) == 0 || tokens[0].key != "" {
				return nil, at(i+1, "section header %q begins with no kind: generate, defaults, zone, server or reply", line)
			}
			sections = append(sections, section{line: i + 1, kind: tokens[0].value, args: tokens[1:]})
			continue
		}
		if strings.HasPrefix(line, "#") {
			line = ""
		}
		if len(sections) == 0 {
			if line != "" {
				return nil, at(i+1, "%q stands before the first section header, such as [zone example.]", line)
			}
			continue
		}
		s := &sections[len(sections)-1]
		s.body = append(s.body, line)
	}
	return sections, nil
}

// tokenise splits at blanks; a value may be in double quotes, in which \" and \\ stand for themselves; # begins a comment.
func tokenise(s string) ([]token, error) {
	var tokens []token
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] == '#' {
			return tokens, nil
		}
		var t token
		end := strings.IndexAny(s, " \t=\"")
		if end > 0 && s[end] == '=' {
			t.key, s = s[:end], s[end+1:]
		}
		if !strings.HasPrefix(s, `"`) {
			end := strings.IndexAny(s, " \t")
			if end < 0 {
				end = len(s)
			}
			t.value, s = s[:end], s[end:]
			if strings.Contains(t.value, `"`) {
				return nil, fmt.Errorf("quote within %q", t.value)
			}
			tokens = append(tokens, t)
			continue
		}
		var value strings.Builder
		i := 1
		for ; i < len(s) && s[i] != '"'; i++ {
			if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\') {
				i++
			}
			value.WriteByte(s[i])
		}
		if i >= len(s) {
			return nil, errors.New("quote is not closed")
		}
		t.value, s = value.String(), s[i+1:]
		tokens = append(tokens, t)
	}
}

func (w *World) section(s section) error {
	switch s.kind {
	case "generate":
		return w.generateSection(s)
	case "defaults":
		if len(s.args) > 0 {
			return at(s.line, "[defaults] takes nothing, %q found", s.args[0].value)
		}
		return w.serverBody(&w.defaults, s, true)
	case "zone":
		return w.zoneSection(s)
	case "server":
		return w.serverSection(s)
	case "reply":
		return w.replySection(s)
	}
	return at(s.line, "unknown section %q; there are generate, defaults, zone, server and reply", s.kind)
}

func noBody(s section) error {
	for i, line := range s.body {
		if line != "" {
			return at(s.line+1+i, "[%s] has no lines of its own, %q found; zones, hosts, unsigned and alg stand in its brackets: [%s zones=1000]", s.kind, line, s.kind)
		}
	}
	return nil
}

func (w *World) generateSection(s section) error {
	if w.generate != nil {
		return at(s.line, "a second [generate]")
	}
	g := &generateSpec{zones: defaultZones, hosts: defaultHosts, unsigned: defaultUnsigned}
	for _, t := range s.args {
		var err error
		switch t.key {
		case "zones":
			g.zones, err = parseCount(t.value, 1, maxZones)
		case "hosts":
			g.hosts, err = parseCount(t.value, 1, maxHosts)
		case "unsigned":
			g.unsigned, err = parseShare(t.value)
		case "alg":
			g.alg, err = parseAlgorithm(t.value)
		default:
			err = errors.New("unknown; there are zones, hosts, unsigned and alg")
		}
		if err != nil {
			return at(s.line, "[generate] %s=%q: %w", t.key, t.value, err)
		}
	}
	w.generate = g
	return noBody(s)
}

func (w *World) zoneSection(s section) error {
	if len(s.args) == 0 || s.args[0].key != "" {
		return at(s.line, "[zone] needs a name, such as [zone example.com]")
	}
	apex, err := dns.ParseName(s.args[0].value)
	if err != nil {
		return at(s.line, "[zone]: %w", err)
	}
	z := &zoneSpec{line: s.line, apex: apex.Lower(), delegate: true, signing: signing{algorithm: algECDSAP256}}
	for _, t := range s.args[1:] {
		if err := z.argument(t); err != nil {
			return at(s.line, "[zone %s] %s=%q: %w", z.apex, t.key, t.value, err)
		}
	}
	for _, a := range z.signing.flawed {
		if a != z.signing.algorithm && !slices.Contains(z.signing.also, a) {
			return at(s.line, "[zone %s] flawed=%d: the zone is not signed by it", z.apex, a)
		}
	}
	if z.tree, err = parseZone(z.apex, strings.Join(s.body, "\n"), s.line+1); err != nil {
		return err
	}
	if _, ok := z.tree.nodes[z.apex].set(dns.TypeNS); !ok && len(z.servers) == 0 {
		return at(s.line, "zone %q has neither NS records nor servers=ADDRESS,...: nobody serves it", z.apex)
	}
	w.zones = append(w.zones, z)
	return nil
}

func parseAlgorithm(value string) (uint8, error) {
	n, err := strconv.ParseUint(value, 10, 8)
	if err != nil || !slices.Contains(algorithms, uint8(n)) {
		return 0, fmt.Errorf("the lab signs with %s", strings.Trim(strings.ReplaceAll(fmt.Sprint(algorithms), " ", ", "), "[]"))
	}
	return uint8(n), nil
}

// parseAlgorithms reads several, separated by commas.
func parseAlgorithms(value string) (all []uint8, err error) {
	for text := range strings.SplitSeq(value, ",") {
		a, err := parseAlgorithm(text)
		if err != nil {
			return nil, err
		}
		if slices.Contains(all, a) {
			return nil, fmt.Errorf("%d is said twice", a)
		}
		all = append(all, a)
	}
	return all, nil
}

// maxDigests is how many digests a DS set may have of each key.
const maxDigests = 8

// parseDSDigests reads digest types, separated by commas.
func parseDSDigests(value string) (all []uint8, err error) {
	for text := range strings.SplitSeq(value, ",") {
		n, err := parseCount(text, 1, 255)
		if err != nil {
			return nil, err
		}
		if all = append(all, uint8(n)); len(all) > maxDigests {
			return nil, fmt.Errorf("more than %d digests", maxDigests)
		}
	}
	return all, nil
}

func (z *zoneSpec) argument(t token) (err error) {
	sig := &z.signing
	switch t.key {
	case "sign":
		switch t.value {
		case "nsec", "yes":
		case "nsec3":
			sig.nsec3 = true
		case "none", "no":
			sig.algorithm = 0
		default:
			return errors.New("neither nsec, nsec3 nor none")
		}
	case "alg":
		all, err := parseAlgorithms(t.value)
		if err != nil {
			return err
		}
		sig.algorithm, sig.also = all[0], all[1:]
	case "digest":
		sig.digests, err = parseDSDigests(t.value)
	case "flawed":
		sig.flawed, err = parseAlgorithms(t.value)
	case "bits":
		if sig.bits, err = parseCount(t.value, defaultRSABits, maxRSABits); err == nil && sig.bits%16 != 0 {
			err = errors.New("not a multiple of 16")
		}
	case "keys":
		if sig.split = t.value == "split"; !sig.split && t.value != "one" {
			return errors.New("neither one nor split")
		}
	case "key":
		sig.generation, err = parseCount(t.value, 0, maxGeneration)
	case "publish":
		sig.published, err = parseGenerations(t.value)
	case "revoke":
		sig.revoked, err = parseGenerations(t.value)
	case "compact":
		sig.compact, err = strconv.ParseBool(t.value)
	case "optout":
		sig.optOut, err = strconv.ParseBool(t.value)
	case "iterations":
		n, err := parseCount(t.value, 0, 2500)
		sig.iterations = uint16(n)
		return err
	case "salt":
		if len(t.value) > 255 {
			return errors.New("longer than 255 octets")
		}
		sig.salt = []byte(t.value)
	case "zonemd":
		z.digests, err = parseDigests(t.value)
	case "ds":
		switch t.value {
		case "yes":
		case "none":
			sig.noDS = true
		case "wrong":
			sig.flaw = flawWrongDS
		default:
			return errors.New("neither yes, none nor wrong")
		}
	case "signatures":
		sig.flaw = flaw(t.value)
		if !slices.Contains([]flaw{flawExpired, flawFuture, flawCorrupt, flawMissing, flawNoDNSKEY}, sig.flaw) {
			return errors.New("neither expired, future, corrupt, missing nor no-dnskey")
		}
	case "delegate":
		switch t.value {
		case "auto":
		case "off":
			z.delegate = false
		default:
			return errors.New("neither auto nor off")
		}
	case "delegations":
		switch t.value {
		case "auto":
		case "none":
			z.noDelegations = true
		default:
			return errors.New("neither auto nor none")
		}
	case "servers":
		z.servers, err = parseAddrs(t.value)
	case "at":
		z.at, err = parseAddrs(t.value)
	case "from":
		z.from, err = parseDuration(t.value)
	case "until":
		z.until, err = parseDuration(t.value)
	default:
		return errors.New("unknown; there are sign, alg, bits, keys, key, publish, revoke, compact, optout, iterations, salt, ds, digest, signatures, flawed, delegate, delegations, servers, zonemd, at, from and until")
	}
	return err
}

func (w *World) serverSection(s section) error {
	v := &serverSpec{line: s.line, jitter: -1, loss: -1}
	for _, t := range s.args {
		var err error
		var n dns.Name
		switch t.key {
		case "":
			var a netip.Addr
			a, err = parseAddr(t.value)
			v.addrs = append(v.addrs, a)
		case "name":
			n, err = dns.ParseName(t.value)
			v.hosts = append(v.hosts, n.Lower())
		case "zone":
			n, err = dns.ParseName(t.value)
			v.zones = append(v.zones, n.Lower())
		default:
			err = errors.New("neither ADDRESS, name=HOST nor zone=ZONE")
		}
		if err != nil {
			return at(s.line, "[server] %q: %w", t.value, err)
		}
	}
	if len(v.addrs)+len(v.hosts)+len(v.zones) == 0 {
		return at(s.line, "[server] needs addresses, name=HOST or zone=ZONE")
	}
	w.servers = append(w.servers, v)
	return w.serverBody(v, s, false)
}

// serverBody reads the lines of [server] and [defaults].
func (w *World) serverBody(v *serverSpec, s section, defaults bool) error {
	for i, text := range s.body {
		line := s.line + 1 + i
		words, err := tokenise(text)
		if err == nil && len(words) > 0 {
			err = w.serverLine(v, words, defaults)
		}
		if err != nil {
			return at(line, "%q: %w", text, err)
		}
	}
	return nil
}

func (w *World) serverLine(v *serverSpec, words []token, defaults bool) (err error) {
	one := func() string {
		if len(words) != 2 || words[1].key != "" {
			err = errors.New("takes one value")
			return ""
		}
		return words[1].value
	}
	switch words[0].value {
	case "latency":
		value := one()
		if err == nil {
			v.latency, err = parseLatency(value)
		}
	case "jitter":
		value := one()
		if err == nil {
			v.jitter, err = parseShare(value)
		}
	case "loss":
		value := one()
		if err == nil {
			v.loss, err = parseShare(value)
		}
	case "lame":
		value := one()
		if err != nil {
			return err
		}
		return w.addFault(&v.faults, []token{{"", "lame"}, {"of", value}})
	case "ipv4", "ipv6":
		if one() != "dead" {
			return errors.New("takes the word dead")
		}
		to := &v.faults
		if defaults {
			to = &v.every
		}
		return w.addFault(to, []token{{"", "drop"}, {"when", words[0].value}})
	case "recursive":
		if v.all = true; len(words) > 1 {
			err = errors.New("takes no value")
		}
	case "serves":
		for _, t := range words[1:] {
			n, err := dns.ParseName(t.value)
			if err != nil {
				return err
			}
			v.serves = append(v.serves, n.Lower())
		}
	case "fault":
		return w.addFault(&v.faults, words[1:])
	default:
		err = errors.New("unknown; there are latency, jitter, loss, lame, ipv4, ipv6, recursive, serves and fault")
	}
	return err
}

func (w *World) addFault(to *[]*fault, words []token) error {
	f, err := parseFault(words)
	if err != nil {
		return err
	}
	w.faults++
	f.place = w.faults
	*to = append(*to, f)
	return nil
}

// Bounds of the keys of a written zone: numbers, and how many besides its own.
const (
	maxGeneration = 1 << 15
	maxOtherKeys  = 200
)

func parseGenerations(s string) (all []int, err error) {
	for text := range strings.SplitSeq(s, ",") {
		n, err := parseCount(text, 0, maxGeneration)
		if err != nil {
			return nil, err
		}
		if all = append(all, n); len(all) > maxOtherKeys {
			return nil, fmt.Errorf("more than %d keys", maxOtherKeys)
		}
	}
	return all, nil
}

func parseCount(s string, low, high int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("not a number from %d to %d", low, high)
	}
	return n, nil
}

// parseShare reads "5%" or "0.05".
func parseShare(s string) (float64, error) {
	digits, percent := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(digits, 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, errors.New("not a share such as 5% or 0.05")
	}
	return v, nil
}

// maxDuration keeps sums of durations far from overflow.
const maxDuration = 100 * 365 * 24 * time.Hour

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > maxDuration {
		return 0, errors.New("not a time such as 20ms, 10m or 1h30m")
	}
	return d, nil
}

// parseLatency reads "20ms" or "20ms..80ms".
func parseLatency(s string) (l [2]time.Duration, err error) {
	low, high, ok := strings.Cut(s, "..")
	if !ok {
		high = low
	}
	if l[0], err = parseDuration(low); err != nil {
		return l, err
	}
	if l[1], err = parseDuration(high); err != nil {
		return l, err
	}
	if l[1] < l[0] {
		return l, errors.New("ends before it begins")
	}
	return l, nil
}

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4In6() {
		return netip.Addr{}, errors.New("not an IPv4 or IPv6 address")
	}
	return a, nil
}

func parseAddrs(s string) ([]netip.Addr, error) {
	var addrs []netip.Addr
	for _, part := range strings.Split(s, ",") {
		a, err := parseAddr(part)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", part, err)
		}
		addrs = append(addrs, a)
	}
	return addrs, nil
}
