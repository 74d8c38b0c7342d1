package node

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/telemetry"
)

// With node.testing a cache ages when a file says so, and the node says that it is not on the world's time.
func TestTestingClock(t *testing.T) {
	b := newBench(t, strings.Replace(plain, "node:\n", "node:\n  testing: { clock: 2020-01-01T00:00:00Z, offset_file: offset }\n", 1))
	n := b.start()
	ttl := func() uint32 { return askA(t, n, "www.example.com", "192.0.2.80").Answer[0].Header().Ttl }
	if got := ttl(); got != 300 {
		t.Errorf("at first the TTL is %d", got)
	}
	asked := b.lab.Asked(wwwExample, dns.TypeA)
	for _, c := range []struct {
		offset string
		below  uint32
	}{{"100", 200}, {"+150\n", 150}, {"3m20s", 100}} { // none so near the end that it is refreshed ahead
		b.write("offset", c.offset)
		if got := ttl(); got > c.below || got+10 < c.below {
			t.Errorf("with the offset %q the TTL is %d, not %d or little less", c.offset, got, c.below)
		}
	}
	if now := b.lab.Asked(wwwExample, dns.TypeA); now != asked {
		t.Errorf("asked again while the record lived: %d questions, then %d", asked, now)
	}
	b.write("offset", "301")
	if got := ttl(); got < 290 {
		t.Errorf("after its end the TTL is %d", got)
	}
	if now := b.lab.Asked(wwwExample, dns.TypeA); now <= asked {
		t.Error("not asked again after the record's end")
	}

	// Wall time starts where it was set, and moves with the offset.
	status, body := get(t, n, "/api/v1/status")
	var s admin.Status
	if err := json.Unmarshal([]byte(body), &s); err != nil || status != 200 {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	if at := time.Date(2020, 1, 1, 0, 5, 1, 0, time.UTC); s.Now.Before(at) || s.Now.After(at.Add(time.Minute)) {
		t.Errorf("it is %v, not %v or little more", s.Now, at)
	}
	if up := s.Now.Sub(s.Started); up < 301*time.Second || up > 400*time.Second || s.Settings.Loaded != s.Started {
		t.Errorf("the node is up for %v, its settings were read at %v", up, s.Settings.Loaded)
	}

	// Ready, with a warning; also in the log.
	status, body = get(t, n, "/readyz")
	var h telemetry.HealthReport
	if err := json.Unmarshal([]byte(body), &h); err != nil || status != 200 || !h.Ready {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	if len(h.Warnings) != 1 || h.Warnings[0].Name != "testing" || !strings.Contains(h.Warnings[0].Text, "must not serve") {
		t.Errorf("%s", body)
	}
	if !strings.Contains(b.log.String(), "level=WARN msg=\"node.testing is set") {
		t.Errorf("the log: %s", b.log)
	}
}

// A node on the world's time has no such warning.
func TestWorldClock(t *testing.T) {
	n := newBench(t, plain).start()
	if status, body := get(t, n, "/readyz"); status != 200 || strings.Contains(body, "node.testing") {
		t.Errorf("%d %s", status, body)
	}
	if d := time.Since(n.clock.Wall()).Abs(); d > time.Minute {
		t.Errorf("wall time is %v off", d)
	}
}

func TestParseOffset(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90": 90 * time.Second, "+90": 90 * time.Second, " 1.5\n": 1500 * time.Millisecond, "0": 0, "1h30m": 90 * time.Minute, "-5": -5 * time.Second,
	} {
		if got, err := parseOffset(text); got != want || err != nil {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "soon", "5 days", "NaN", "+Inf", "1e300", "-1e300", "2000000h"} {
		if got, err := parseOffset(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

// An offset that can't be read is none, and one that can't be read any more is as it was: boot time does not jump back.
func TestOffsetThatCantBeRead(t *testing.T) {
	b := newBench(t, plain)
	base := recurse.Clock{Boot: func() time.Duration { return time.Hour }, Wall: func() time.Time { return time.Unix(1000, 0) }}
	c, trouble := testingClock(base, time.Time{}, b.path("offset"))
	for _, text := range []string{"", "soon", "NaN"} {
		if text != "" {
			b.write("offset", text)
		}
		if c.Boot() != time.Hour || c.Wall() != time.Unix(1000, 0) {
			t.Errorf("offset %q: %v, %v", text, c.Boot(), c.Wall())
		}
		if why := trouble(); !strings.Contains(why, "the time is 0s off") || !strings.Contains(why, b.path("offset")) && !strings.Contains(why, text) {
			t.Errorf("offset %q: the trouble is %q", text, why)
		}
	}
	for _, text := range []string{"60", "", "6o"} {
		b.write("offset", text)
		if why := trouble(); (text == "60") != (why == "") || why != "" && !strings.Contains(why, "the time is 1m0s off") {
			t.Errorf("offset %q: the trouble is %q", text, why)
		}
		if c.Boot() != time.Hour+time.Minute || c.Wall() != time.Unix(1060, 0) {
			t.Errorf("offset %q: %v, %v", text, c.Boot(), c.Wall())
		}
	}
}

// Boot time passes as the offset grows, and never goes back; the wall clock is set to the offset. A first offset that is negative is the wall's alone, and
// however often it grows and shrinks, no clock runs over.
func TestOffsetBackAndForth(t *testing.T) {
	b := newBench(t, plain)
	base := recurse.Clock{Boot: func() time.Duration { return time.Hour }, Wall: func() time.Time { return time.Unix(1_000_000_000, 0) }}
	c, _ := testingClock(base, time.Time{}, b.path("offset"))
	for _, step := range []struct {
		offset     string
		boot, wall time.Duration
	}{
		{"-60", 0, -time.Minute}, {"0", time.Minute, 0}, {"1h", time.Hour + time.Minute, time.Hour}, {"0", time.Hour + time.Minute, 0},
		{"30", time.Hour + 90*time.Second, 30 * time.Second}, {"-1h", time.Hour + 90*time.Second, -time.Hour},
	} {
		b.write("offset", step.offset)
		if boot, wall := c.Boot()-time.Hour, c.Wall().Sub(base.Wall()); boot != step.boot || wall != step.wall {
			t.Errorf("offset %s: boot time is %v ahead, not %v, and the wall %v, not %v", step.offset, boot, step.boot, wall, step.wall)
		}
	}
	last := c.Boot()
	for i := range 10 {
		b.write("offset", []string{"876000h", "-876000h"}[i%2]) // a century
		now := c.Boot()
		if now < last || now+maxOffset/4 < now {
			t.Fatalf("boot time goes from %v to %v", last, now)
		}
		last = now
	}
}

// What a node has cached only ever ages, whatever becomes of the offset while it serves.
func TestOffsetSetBackWhileServing(t *testing.T) {
	b := newBench(t, strings.Replace(plain, "node:\n", "node:\n  testing: { clock: 2035-01-01T00:00:00Z, offset_file: offset }\n", 1))
	n := b.start()
	asked := 0
	last := uint32(300)
	for _, step := range []struct {
		offset string
		fresh  bool // it has expired, so it is asked for anew
	}{{"0", true}, {"100", false}, {"-3600", false}, {"-3500", false}, {"", false}, {"3.1e9", true}, {"-3.1e9", false}, {"-3099999990", false}} {
		b.write("offset", step.offset)
		ttl := askA(t, n, "www.example.com", "192.0.2.80").Answer[0].Header().Ttl
		now := b.lab.Asked(wwwExample, dns.TypeA)
		if fresh := now > asked; fresh != step.fresh || !fresh && ttl > last || fresh && ttl < 290 {
			t.Errorf("offset %q: the TTL is %d after %d, asked for %d times after %d", step.offset, ttl, last, now, asked)
		}
		asked, last = now, ttl
	}
	if got := metric(t, n, "ananas_clock_untrusted"); got != "0" {
		t.Errorf("a test clock counts as wrong: %s", got)
	}
}

// Boot time goes on, whatever the system.
func TestBootTime(t *testing.T) {
	boot := newBootTime()
	a := boot()
	if b := boot(); a <= 0 || b < a {
		t.Errorf("boot time is %v, then %v", a, b)
	}
}

// Answers that were aged by the clock carry the extended error of stale data when nobody answers any more.
func TestStaleByTheClock(t *testing.T) {
	b := newBench(t, strings.Replace(plain, "node:\n", "node:\n  testing: { offset_file: offset }\n", 1))
	gate := &gate{Network: b.network}
	b.network = gate
	n := b.start()
	askA(t, n, "www.example.com", "192.0.2.80")
	gate.shut.Store(true)
	b.write("offset", "3600")
	r := askA(t, n, "www.example.com", "192.0.2.80")
	if e := extended(r); len(e) == 0 || e[0].InfoCode != miekg.ExtendedErrorCodeStaleAnswer || r.Answer[0].Header().Ttl != 30 {
		t.Errorf("an answer whose servers are gone:\n%v", r)
	}
}
