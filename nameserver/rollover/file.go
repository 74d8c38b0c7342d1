package rollover

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// The state file is a line that names its version and the SHA-256 of all that follows, and JSON to be read by people:
//
//	ananas trust anchors, version 1, sha256 6d3e...
//	{ "zones": [ { "zone": ".", "seen": "2026-01-15T12:00:00Z", ... } ] }
//
// The checksum is against damage, not against malice: who can write there can write a checksum, too.
const (
	version     = 1
	firstWords  = "ananas trust anchors, version "
	betweenThem = ", sha256 "
)

// Limits of the state file.
const (
	// MaxZones is how many zones are kept up to date; others have the settings' anchors. Beside the root a site has a handful of
	// private ones. With five keys of 2,048 bits each zone takes 5 KiB in the file: 5 MiB, written once an hour.
	MaxZones = 1000

	// maxFile is how long the file may be: six times the 5 MiB above, for keys of 4,096 bits and a few more of them.
	maxFile = 32 << 20

	// maxCounted bounds what a key can have been counted for, and have to be: 68 years, the longest TTL.
	maxCounted = (1<<31 - 1) * time.Second
)

// Reasons not to take a state file. Each comes with what it is about.
var (
	errVersion  = errors.New("is of another version")
	errForm     = errors.New("is not a state file")
	errChecksum = errors.New("is damaged: its checksum does not fit")
	errSize     = fmt.Errorf("is longer than %d octets", maxFile)
)

// content, zoneText and keyText are what is in the file, in its order.
type content struct {
	Zones []zoneText `json:"zones"`
}

type zoneText struct {
	Zone     dns.Name  `json:"zone"`
	Seen     stamp     `json:"seen"`     // of the last good set; "": never
	Interval span      `json:"interval"` // from it to the next one
	Retry    span      `json:"retry"`    // from a failure to the next attempt
	Keys     []keyText `json:"keys"`
}

type keyText struct {
	Tag     uint16    `json:"tag"` // follows from the key; for people
	State   stateText `json:"state"`
	Since   stamp     `json:"since"`
	Counted span      `json:"counted"`
	Hold    span      `json:"hold"`
	By      []ID      `json:"announced_by"`
	Roots   []ID      `json:"came_from"`
	DNSKEY  keyData   `json:"dnskey"`
}

// encode writes the file.
func encode(points []Point) ([]byte, error) {
	c := content{Zones: []zoneText{}}
	for i := range points {
		p := &points[i]
		z := zoneText{Zone: p.Zone, Seen: stamp(p.Seen), Interval: span(p.Interval), Retry: span(p.Retry), Keys: []keyText{}}
		for j := range p.Keys {
			k := &p.Keys[j]
			z.Keys = append(z.Keys, keyText{
				k.Tag(), stateText(k.State), stamp(k.Since), span(k.Counted), span(k.Hold), none(k.By), none(k.Roots), keyData(k.Data),
			})
		}
		c.Zones = append(c.Zones, z)
	}
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(c); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body.Bytes())
	text := fmt.Appendf(nil, "%s%d%s%x\n%s", firstWords, version, betweenThem, sum, body.Bytes())
	if len(text) > maxFile {
		return nil, errSize
	}
	return text, nil
}

func none(ids []ID) []ID {
	if ids == nil {
		return []ID{}
	}
	return ids
}

// decode reads what encode wrote, and nothing else. The error is the end of a sentence about the file.
func decode(text []byte) ([]Point, error) {
	head, body, ok := bytes.Cut(text, []byte("\n"))
	rest, ours := strings.CutPrefix(string(head), firstWords)
	number, _, _ := strings.Cut(rest, ",")
	if !ok || !ours {
		return nil, errForm
	}
	if v, err := strconv.ParseUint(number, 10, 32); err == nil && v != version { // whatever else another version writes there
		return nil, fmt.Errorf("%w: %d, and this release reads %d", errVersion, v, version)
	}
	sum, ours := strings.CutPrefix(rest, strconv.Itoa(version)+betweenThem)
	if !ours {
		return nil, errForm
	}
	if sum != fmt.Sprintf("%x", sha256.Sum256(body)) {
		return nil, errChecksum
	}
	return decodeBody(body)
}

func decodeBody(body []byte) ([]Point, error) {
	var c content
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(&c)
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			err = nil
		} else if err == nil {
			err = errors.New("something follows")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errForm, err)
	}
	if len(c.Zones) > 2*MaxZones {
		return nil, fmt.Errorf("%w: it has %d zones", errForm, len(c.Zones))
	}
	points := make([]Point, 0, len(c.Zones))
	seen := make(map[dns.Name]bool)
	for i := range c.Zones {
		p, err := c.Zones[i].point()
		if err == nil && seen[p.Zone] {
			err = errors.New("it is there twice")
		}
		if err != nil {
			return nil, fmt.Errorf("%w: zone %v: %w", errForm, c.Zones[i].Zone, err)
		}
		seen[p.Zone] = true
		points = append(points, p)
	}
	return points, nil
}

func (z *zoneText) point() (Point, error) {
	p := Point{Zone: z.Zone, Seen: time.Time(z.Seen), Interval: time.Duration(z.Interval), Retry: time.Duration(z.Retry)}
	switch {
	case z.Zone.IsZero() || z.Zone != z.Zone.Lower():
		return p, errors.New("no name in lower case")
	case p.Interval < 0 || p.Interval > MaxInterval || p.Retry < 0 || p.Retry > MaxRetry:
		return p, errors.New("a time is out of bounds")
	case len(z.Keys) > maxEntries:
		return p, fmt.Errorf("%d keys", len(z.Keys))
	}
	for i := range z.Keys {
		t := &z.Keys[i]
		k := Key{Data: t.DNSKEY, State: State(t.State), Since: time.Time(t.Since), Counted: time.Duration(t.Counted), Hold: time.Duration(t.Hold)}
		if len(t.By) > 0 {
			k.By = t.By
		}
		if len(t.Roots) > 0 {
			k.Roots = t.Roots
		}
		if err := k.check(t.Tag); err != nil {
			return p, err
		}
		if p.find(k.Data) >= 0 {
			return p, fmt.Errorf("key %d is there twice", t.Tag)
		}
		p.Keys = append(p.Keys, k)
	}
	return p, nil
}

func (k *Key) check(tag uint16) error {
	d, err := dns.ParseDNSKEY(k.Data)
	switch {
	case err != nil:
		return err
	case d.Flags&dns.DNSKEYFlagRevoke != 0 || d.Flags&dns.DNSKEYFlagZone == 0:
		return fmt.Errorf("key %d has the flags %d", tag, d.Flags)
	case d.KeyTag() != tag:
		return fmt.Errorf("key %d has the tag %d", d.KeyTag(), tag)
	case k.State == Start || k.State >= stateEnd:
		return fmt.Errorf("key %d has no state", tag)
	case k.Counted < 0 || k.Counted > maxCounted || k.Hold < 0 || k.Hold > maxCounted || k.State == AddPend && k.Hold < AddHold:
		return fmt.Errorf("key %d: a time is out of bounds", tag)
	case len(k.By) > maxEntries || len(k.Roots) > maxEntries:
		return fmt.Errorf("key %d came from too many", tag)
	}
	return nil
}

// stamp is a time to the second in UTC, "" if there is none.
type stamp time.Time

func (s stamp) MarshalText() ([]byte, error) {
	t := time.Time(s).UTC()
	if t.IsZero() {
		return nil, nil
	}
	if y := t.Year(); y < 0 || y > 9999 {
		return nil, fmt.Errorf("the year %d can't be written", y)
	}
	return []byte(t.Format(time.RFC3339)), nil
}

func (s *stamp) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*s = stamp{}
		return nil
	}
	t, err := time.Parse(time.RFC3339, string(b))
	if err != nil || t.UTC().Format(time.RFC3339) != string(b) || t.IsZero() {
		return fmt.Errorf("%q is no time in UTC", b)
	}
	*s = stamp(t.UTC())
	return nil
}

// span is a duration in whole seconds, written as "720h0m0s".
type span time.Duration

func (s span) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

func (s *span) UnmarshalText(b []byte) error {
	d, err := time.ParseDuration(string(b))
	if err != nil || d.Truncate(time.Second).String() != string(b) {
		return fmt.Errorf("%q is no time in whole seconds", b)
	}
	*s = span(d)
	return nil
}

type stateText State

func (s stateText) MarshalText() ([]byte, error) { return []byte(State(s).String()), nil }

func (s *stateText) UnmarshalText(b []byte) error {
	i := slices.Index(stateNames[:], string(b))
	if i <= int(Start) {
		return fmt.Errorf("%q is no state of a key", b)
	}
	*s = stateText(i)
	return nil
}

// keyData is DNSKEY data in presentation form (RFC 4034 section 2.2).
type keyData []byte

func (k keyData) MarshalText() ([]byte, error) {
	d, err := dns.ParseDNSKEY(k)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%d %d %d %s", d.Flags, d.Protocol, d.Algorithm, base64.StdEncoding.EncodeToString(d.PublicKey)), nil
}

func (k *keyData) UnmarshalText(b []byte) error {
	fail := fmt.Errorf("%.40q is no DNSKEY", b)
	f := strings.Split(string(b), " ")
	if len(f) != 4 || len(b) > 2*dns.MaxMessageLen {
		return fail
	}
	flags, err1 := strconv.ParseUint(f[0], 10, 16)
	protocol, err2 := strconv.ParseUint(f[1], 10, 8)
	algorithm, err3 := strconv.ParseUint(f[2], 10, 8)
	public, err4 := base64.StdEncoding.DecodeString(f[3])
	if errors.Join(err1, err2, err3, err4) != nil || len(public) > dns.MaxMessageLen-100 {
		return fail
	}
	*k = append(keyData{byte(flags >> 8), byte(flags), byte(protocol), byte(algorithm)}, public...)
	if back, err := k.MarshalText(); err != nil || !bytes.Equal(back, b) {
		return fail
	}
	return nil
}
