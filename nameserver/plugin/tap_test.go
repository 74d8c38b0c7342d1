package plugin_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/telemetry"
)

// Who taps sees one line of so many, of each loop, after a tenth of a second at most; what does not fit is lost, and counted, and nobody waits.
func TestTap(t *testing.T) {
	for _, c := range []struct {
		loops, oneIn, lines int
		blocked             bool
		seen, lost          int
	}{
		{1, 1, 7, false, 7, 0},
		{2, 1, 7, false, 14, 0},
		{2, 3, 7, false, 4, 0},
		{0, 0, 7, false, 7, 0}, // as good as 1 and 1
		{1, 1, 600, false, 600, 0},
		{1, 1, 50_000, true, 0, -1},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := telemetry.NewMetrics()
			seen, release := 0, make(chan struct{})
			if !c.blocked {
				close(release)
			}
			tap := plugin.NewTap(c.loops, uint64(c.oneIn), false, m.Counter("ananas_test_lost_total", "Lost."), func(lines []plugin.Line) {
				<-release
				seen += len(lines)
				for k := range lines {
					if lines[k].NameLen != 1 {
						t.Errorf("a line that nobody has filled: %+v", lines[k])
					}
				}
			})
			for range c.lines {
				for loop := range max(c.loops, 1) {
					if line, pen := tap.Begin(loop); line != nil {
						*line = plugin.Line{NameLen: 1}
						pen.End()
					}
				}
			}
			time.Sleep(time.Second)
			if c.blocked {
				close(release)
				time.Sleep(time.Second)
			}
			tap.Close()
			tap.Close()
			if line, pen := tap.Begin(0); line != nil { // a loop that knows of it still
				*line = plugin.Line{NameLen: 1}
				pen.End()
			}
			lost := int(tap.Lost())
			what := fmt.Sprintf("%+v: seen %d, lost %d", c, seen, lost)
			switch {
			case int(m.Counter("ananas_test_lost_total", "Lost.").Value()) != lost:
				t.Error(what + ", and other ones are counted")
			case c.lost < 0 && (lost == 0 || seen == 0 || lost+seen != c.lines):
				t.Error(what)
			case c.lost >= 0 && (lost != c.lost || seen != c.seen):
				t.Error(what)
			}
		})
	}
}
