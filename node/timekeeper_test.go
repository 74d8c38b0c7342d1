package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
	later := time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, file string
		testing    bool
		want       time.Time
	}{
		{"none", "", false, buildTime()},
		{"later", later.Format(time.RFC3339) + "\n", false, later},
		{"earlier", "1999-01-01T00:00:00Z\n", false, buildTime()},
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
