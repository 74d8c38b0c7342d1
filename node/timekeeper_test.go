package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/settings"
	"github.com/ananas-edge/ananas/telemetry"
)

// A clock in 1970 at boot, one that leaps ten years ahead, and one that is set back: names go on to resolve where they can, nothing is said to be secure
// while the clock can't be right, and everything is as it should be a minute after it is right again.
func TestClockLeaps(t *testing.T) {
	const world = `
[defaults]
latency 20ms
[zone corp servers=192.0.2.1]
$GENERATE 1-20 www$ A 192.0.2.80
`
	synctest.Test(t, func(t *testing.T) {
		f := newFollower(t, world, "corp 192.0.2.1")
		now := time.Now()
		f.earliest = now
		f.ahead.Store(int64(time.Unix(1000, 0).Sub(now)))
		f.open()
		defer f.close()
		n := f.node
		data := t.TempDir()
		own := settings.Node{Data: data}
		n.time = n.keepTime(own, now, time.Time{})
		closed := false
		defer func() {
			if !closed {
				n.time.close()
			}
		}()
		asked := 0
		is := func(when, security, text string) {
			t.Helper()
			asked++
			q := dns.Question{Name: dns.MustParseName(fmt.Sprintf("www%d.corp", asked)), Type: dns.TypeA, Class: dns.ClassINET}
			a, _ := n.resolver.Resolve(context.Background(), q, recurse.Opts{Table: n.server.Table().Recursion})
			var said []string
			for _, e := range a.EDEs {
				said = append(said, e.Code.String()+": "+e.Text)
			}
			if got := strings.Join(said, "; "); a.Security.String() != security || !strings.Contains(got, text) || text == "" && got != "" {
				t.Errorf("%s: %v is %v %v, not %s %q: %s", when, q, a.RCode, a.Security, security, text, got)
			}
		}
		pass := func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
		}
		is("in 1970", "indeterminate", "clock can't be right")
		if warned := n.health.Report().Warnings; len(warned) == 0 || warned[0].Name != "clock" {
			t.Errorf("in 1970 the warnings are %v", warned)
		}
		f.ahead.Store(0)
		pass(2 * time.Minute)
		is("in time", "secure", "")
		if len(n.health.Report().Warnings) != 0 || !n.resolver.ClockTrusted() {
			t.Errorf("in time the warnings are %v", n.health.Report().Warnings)
		}
		pass(2 * time.Hour)
		saved, err := readTime(filepath.Join(data, TimeFile))
		if err != nil || saved.Before(now) || saved.After(time.Now()) {
			t.Errorf("saved is %v, %v", saved, err)
		}
		f.ahead.Store(int64(10 * 365 * 24 * time.Hour))
		pass(2 * time.Hour) // what was learned of keys is over
		is("ten years ahead", "bogus", "Signature Expired")
		f.ahead.Store(0)
		pass(10 * time.Minute)
		is("back again", "secure", "")
		f.ahead.Store(int64(-12 * time.Hour))
		is("half a day behind", "secure", "")
		f.ahead.Store(int64(-72 * time.Hour))
		is("three days behind", "indeterminate", "clock can't be right")
		f.ahead.Store(0)
		pass(2 * time.Minute)
		is("in time at last", "secure", "")
		n.time.close()
		closed = true
		if again, err := readTime(filepath.Join(data, TimeFile)); err != nil || again.After(time.Now()) || again.Before(saved) {
			t.Errorf("at the end %v is saved, %v", again, err)
		}
		for _, want := range []string{"the clock can't be right", "the clock can be right again"} {
			if !strings.Contains(f.log.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, f.log.String())
			}
		}
	})
}

// The time that a node begins with is that of its build, or a later one that it knew; a file that is no time counts for nothing; a test clock is right.
func TestEarliestTime(t *testing.T) {
	n := &Node{log: slog.New(slog.DiscardHandler), health: telemetry.NewHealth()}
	later := buildTime().Add(timeAhead).Truncate(time.Second)
	far := later.Add(time.Second)
	for _, c := range []struct {
		name, file string
		testing    bool
		want       time.Time
	}{
		{"none", "", false, buildTime()},
		{"later", later.Format(time.RFC3339) + "\n", false, later},
		{"earlier", "1999-01-01T00:00:00Z\n", false, buildTime()},
		{"far ahead", far.Format(time.RFC3339), false, buildTime()},
		{"cut", "2200-01-0", false, buildTime()},
		{"long", strings.Repeat("2", 100), false, buildTime()},
		{"testing", later.Format(time.RFC3339), true, time.Time{}},
	} {
		own := settings.Node{Data: t.TempDir()}
		if c.testing {
			own.Testing.OffsetFile = "offset"
		}
		if c.file != "" {
			if err := os.WriteFile(filepath.Join(own.Data, TimeFile), []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got, _ := n.earliestTime(own); !got.Equal(c.want) {
			t.Errorf("%s: %v, not %v", c.name, got, c.want)
		}
	}
	if now := time.Now(); released.After(now) || now.Sub(released) > 3*365*24*time.Hour {
		t.Errorf("released is %v; set it to the month of the release", released)
	}
}

// A whole node whose clock begins in 1970 answers, says what is wrong where people look, and validates when the clock is set. A time in its data
// folder that speaks against a clock which is right is named, with what to do.
func TestNodeIn1970(t *testing.T) {
	b := newBench(t, strings.Replace(plain, "trust_anchors: none", "trust_anchors: lab.anchors", 1))
	b.write("lab.anchors", b.lab.TrustAnchors())
	boot, start := newBootTime(), time.Now()
	var ahead, passed atomic.Int64 // of the wall clock; boot time beside what really passes
	clock := recurse.Clock{
		Boot: func() time.Duration { return boot() + time.Duration(passed.Load()) },
		Wall: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
	}
	run := func() *Node {
		o, err := b.options()
		if err != nil {
			t.Fatal(err)
		}
		o.Clock = clock
		n, err := Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	is := func(n *Node, when string, trusted bool, mend string) {
		t.Helper()
		q := query("www.example.com", miekg.TypeA)
		q.AuthenticatedData = true
		r := ask(t, "udp", n.Addrs()[0], q)
		e := extended(r)
		if r.Rcode != miekg.RcodeSuccess || len(r.Answer) != 1 || r.AuthenticatedData != trusted || (len(e) == 0) != trusted || !trusted && e[0].InfoCode != miekg.ExtendedErrorCodeDNSSECIndeterminate {
			t.Errorf("%s:\n%v", when, r)
		}
		wrong := "1"
		if trusted {
			wrong = "0"
		}
		if got := metric(t, n, "ananas_clock_untrusted"); got != wrong {
			t.Errorf("%s: ananas_clock_untrusted is %s", when, got)
		}
		status, body := get(t, n, "/readyz")
		if status != 200 || strings.Contains(body, clockWrong) == trusted || strings.Contains(body, "and remove") != (mend != "") || !strings.Contains(body, mend) {
			t.Errorf("%s: %d %s", when, status, body)
		}
	}
	stop := func(n *Node) {
		t.Helper()
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}

	ahead.Store(int64(time.Unix(20, 0).Sub(start)))
	n := run()
	is(n, "in 1970", false, "")
	if text := b.log.String(); !strings.Contains(text, "level=WARN") || !strings.Contains(text, clockWrong) {
		t.Errorf("in 1970 the log is\n%s", text)
	}
	ahead.Store(0)
	passed.Add(int64(2 * time.Minute)) // what was learned without a clock is over
	is(n, "in time", true, "")
	stop(n)
	file := filepath.Join(b.path("data"), TimeFile)
	if saved, err := readTime(file); err != nil || saved.Before(start.Add(-time.Second)) || saved.After(time.Now()) {
		t.Errorf("at its end the node has saved %v, %v", saved, err)
	}

	if err := writeTime(file, start.Add(10*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	n = run()
	is(n, "with a time to come in the file", false, TimeFile)
	stop(n)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	n = run()
	is(n, "without the file", true, "")
	stop(n)
}
