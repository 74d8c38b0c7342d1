package rollover

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func toBase64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func bySpace(s string) string { return strings.Replace(s, ":", " ", 1) }

// Files in testdata/stories tell what a zone shows and what is made of it. A line is one of
//
//	settings ANCHOR...        the settings' anchors: ds:A, sha384:A (a DS record of key A) or key:A; also a restart
//	restart                   the state is written, read and joined with the settings
//	wait TIME                 the clock goes on; it is set back if TIME is negative
//	see KEY... by KEY...      the zone shows these keys, signed by those; "A!" is A with the REVOKE bit, small letters are no secure
//	                          entry points. Behind it may be ttl=SECONDS, life=TIME of the signatures (the defaults are those of
//	                          the root: two days and three weeks), and "= TEXT": why the set is not believed
//	watch N TIME see ...      N times: wait TIME, and see
//	told CHANGE, ...          the changes since the last such line: "A start addpend"
//	keys KEY STATE [COUNTED], ...    what is known of keys, all of it
//	trusts ANCHOR...          what holds; DS records whose key is known are left out
//	next INTERVAL RETRY       when to ask again
type story struct {
	t       *testing.T
	place   string
	now     time.Time
	anchors Anchors
	point   Point
	changes []Change
	checks  Checks
}

func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/stories/*.txt")
	if err != nil || len(files) < 5 {
		t.Fatalf("stories: %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// Each story begins with a line "== what it is".
		for i, part := range strings.Split("\n"+string(text), "\n== ")[1:] {
			title, body, _ := strings.Cut(part, "\n")
			before := strings.Split("\n"+string(text), "\n== ")[:i+1]
			line := strings.Count(strings.Join(before, "\n== "), "\n") + 1
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+title, func(t *testing.T) {
				s := &story{t: t, now: start, checks: checks(t)}
				for i, l := range strings.Split(body, "\n") {
					s.place = fmt.Sprintf("%s:%d", file, line+i+1)
					if l = strings.TrimSpace(l); l != "" && l[0] != '#' {
						s.line(l)
					}
				}
			})
		}
	}
}

func (s *story) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Errorf("%s: %s", s.place, fmt.Sprintf(format, args...))
}

func (s *story) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil {
		s.t.Fatalf("%s: %v", s.place, err)
	}
	return d
}

func (s *story) line(l string) {
	s.t.Helper()
	word, rest, _ := strings.Cut(l, " ")
	switch word {
	case "settings":
		s.anchors = anchorsOf(s.t, strings.Fields(rest))
		s.restart()
	case "restart":
		s.restart()
	case "wait":
		s.now = s.now.Add(s.duration(rest))
	case "see":
		s.see(rest)
	case "watch":
		f := strings.SplitN(rest, " ", 4)
		n, err := strconv.Atoi(f[0])
		if err != nil || len(f) != 4 || f[2] != "see" {
			s.t.Fatalf("%s: %q", s.place, l)
		}
		for range n {
			s.now = s.now.Add(s.duration(f[1]))
			s.see(f[3])
		}
	case "told":
		s.compare(rest, s.told())
	case "keys":
		s.compare(rest, s.keys())
	case "trusts":
		s.compare(rest, s.trusts())
	case "next":
		s.compare(rest, short(s.point.Interval)+" "+short(s.point.Retry))
	default:
		s.t.Fatalf("%s: %q is nothing that can be told", s.place, l)
	}
}

func (s *story) compare(want, got string) {
	s.t.Helper()
	if want != got {
		s.fail("%q, not %q", got, want)
	}
}

// restart writes the state, reads it, and joins it with the settings.
func (s *story) restart() {
	s.t.Helper()
	known := Point{}
	if !s.point.Zone.IsZero() {
		text, err := encode([]Point{s.point})
		if err != nil {
			s.t.Fatalf("%s: %v", s.place, err)
		}
		points, err := decode(text)
		if err != nil || len(points) != 1 {
			s.t.Fatalf("%s: %v\n%s", s.place, err, text)
		}
		known = points[0]
	}
	before := known.clone()
	next, changes := Begin(s.anchors, known, s.now, s.checks)
	if !reflect.DeepEqual(before.Keys, known.Keys) {
		s.fail("what was known before was changed")
	}
	s.take(next, changes)
}

func (s *story) take(next Point, changes []Change) {
	s.t.Helper()
	s.point = next
	s.changes = append(s.changes, changes...)
	for i := range next.Keys {
		if k := &next.Keys[i]; k.State.gone() && (next.Trusted().DNSKEY.Contains(k.Data) || s.checks.Table.Names(zoneName, next.Trusted().DS, k.Data)) {
			s.fail("key %d is revoked, and trusted", k.Tag())
		}
	}
}

func (s *story) see(text string) {
	s.t.Helper()
	text, why, fails := strings.Cut(text, " = ")
	shown, signers, _ := strings.Cut(text, " by ")
	how := signing{at: s.now, ttl: 172800, life: 21 * 24 * time.Hour}
	var by []string
	for _, w := range strings.Fields(signers) {
		switch k, v, _ := strings.Cut(w, "="); k {
		case "ttl":
			n, err := strconv.ParseUint(v, 10, 32)
			if err != nil {
				s.t.Fatalf("%s: %v", s.place, err)
			}
			how.ttl = uint32(n)
		case "life":
			how.life = s.duration(v)
		default:
			by = append(by, w)
		}
	}
	set := keySet(s.t, how, strings.Fields(shown), by)
	before := s.point.clone()
	next, changes, err := s.point.See(set, s.now, s.checks)
	if !reflect.DeepEqual(before, s.point) {
		s.fail("what was known before was changed")
	}
	if fails != (err != nil) || err != nil && !strings.Contains(err.Error(), why) {
		s.fail("the error is %v", err)
	}
	s.take(next, changes)
}

// nameOf is the letter of a key.
func nameOf(data []byte) string {
	for c := 'A'; c <= 'z'; c++ {
		if string(newKey(string(c)).data()) == string(data) {
			return string(c)
		}
	}
	return "?"
}

func short(d time.Duration) string {
	if d%(24*time.Hour) == 0 && d != 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	if d < time.Minute {
		return d.String()
	}
	return strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m")
}

func (s *story) told() string {
	var all []string
	for _, c := range s.changes {
		name := "?"
		for l := 'A'; l <= 'z'; l++ {
			if newKey(string(l)).tag() == c.Tag {
				name = string(l)
			}
		}
		all = append(all, fmt.Sprintf("%s %v %v", name, c.From, c.To))
	}
	s.changes = nil
	return strings.Join(all, ", ")
}

func (s *story) keys() string {
	var all []string
	for i := range s.point.Keys {
		k := &s.point.Keys[i]
		text := nameOf(k.Data) + " " + k.State.String()
		if k.Counted != 0 {
			text += " " + short(k.Counted)
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func (s *story) trusts() string {
	a := s.point.Trusted()
	unseen := s.point.Unseen(s.checks)
	var all []string
	for c := 'A'; c <= 'z'; c++ {
		switch data := newKey(string(c)).data(); {
		case s.checks.Table.Names(zoneName, unseen, data):
			all = append(all, "ds:"+string(c))
		case a.names(data, s.checks):
			all = append(all, "key:"+string(c))
		}
	}
	slices.Sort(all)
	if a.Empty() {
		return "nothing"
	}
	return strings.Join(all, " ")
}
