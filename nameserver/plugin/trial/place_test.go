package trial_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/plugin/trial"
)

// In place of a chain both versions are shown what comes to their place, as it comes there: not what modules before them have ended, and the answer as these have left it. Where nobody knows, they see the query alone, and that is counted.
func TestInPlace(t *testing.T) {
	acts := guest(t, "acts", "name: acts\nversion: '1'\nphases: [query]\n")
	clamp := guest(t, "clamp", "name: clamp\nversion: '1'\nphases: [answer]\n")
	have := settings(t, map[string][]byte{"first": acts, "acts": acts, "clamp": clamp, "last": clamp}, nil, plugin.Plugin{Module: "first", Phase: plugin.PhaseQuery}, plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery},
		plugin.Plugin{Module: "last", Phase: plugin.PhaseAnswer}, plugin.Plugin{Module: "clamp", Phase: plugin.PhaseAnswer})
	address := func(last byte) *plugin.Reply {
		return &plugin.Reply{Sections: [3][]dns.RR{{{Name: dns.Root, Type: dns.TypeA, Class: dns.ClassINET, TTL: 300, Data: []byte{192, 0, 2, last}}}}}
	}
	noted, none := new(plugin.Shown), new(plugin.Shown)
	noted.Note(address(7))
	other := map[string]string{"all": "yes"}
	for what, c := range map[string]struct {
		request trial.Request
		path    plugin.Path
		want    string
	}{
		"nothing is said":                    {trial.Request{Module: "acts", Settings: other}, plugin.Path{Order: "this"}, "alone 0 differ 1 left 0 0 0"},
		"ended before it":                    {trial.Request{Module: "acts", Settings: other}, plugin.Path{Order: "this", Ended: 1}, "alone 0 differ 0 left 1 0 0"},
		"ended by the version that runs":     {trial.Request{Module: "acts", Settings: other}, plugin.Path{Order: "this", Ended: 2}, "alone 0 differ 1 left 0 0 0"},
		"ended behind it":                    {trial.Request{Module: "acts", Settings: other}, plugin.Path{Order: "this", Ended: 3}, "alone 0 differ 1 left 0 0 0"},
		"ended before one that is new":       {trial.Request{Module: "new", Source: acts, Settings: other}, plugin.Path{Order: "this", Ended: 3}, "alone 0 differ 0 left 1 0 0"},
		"ended by who knows":                 {trial.Request{Module: "acts", Settings: other}, plugin.Path{Order: "that", Ended: 1}, "alone 1 differ 1 left 0 0 0"},
		"of a file":                          {trial.Request{Module: "acts", Settings: other}, plugin.Path{}, "alone 1 differ 1 left 0 0 0"},
		"an answer that was noted":           {trial.Request{Module: "new", Source: clamp}, plugin.Path{Order: "this", Ended: 1, Shown: noted}, "alone 0 differ 1 left 0 0 0: 192.0.2.7"},
		"an answer that nobody was shown":    {trial.Request{Module: "new", Source: clamp}, plugin.Path{Order: "this", Shown: none}, "alone 0 differ 0 left 1 0 0"},
		"an answer that is recalled":         {trial.Request{Module: "new", Source: clamp}, plugin.Path{Order: "this"}, "alone 0 differ 1 left 0 0 0: 192.0.2.1"},
		"one of a group":                     {trial.Request{Module: "new", Source: clamp}, plugin.Path{Order: "this", Group: "inside"}, "alone 0 differ 1 left 0 0 0: 192.0.2.2"},
		"one of a group that nobody knows":   {trial.Request{Module: "new", Source: clamp}, plugin.Path{Order: "that", Group: "inside"}, "alone 1 differ 1 left 0 0 0: 192.0.2.3"},
		"one of a group that has nothing":    {trial.Request{Module: "new", Source: clamp}, plugin.Path{Order: "this", Group: "empty"}, "alone 0 differ 0 left 0 0 1"},
		"a finished one, ended":              {trial.Request{Module: "new", Source: clamp}, plugin.Path{Order: "this", Ended: 1}, "alone 0 differ 0 left 0 1 0"},
		"a finished one, changed before it":  {trial.Request{Module: "new", Source: clamp}, plugin.Path{Order: "this", Changed: 3}, "alone 0 differ 0 left 0 1 0"},
		"a finished one, changed behind it":  {trial.Request{Module: "clamp"}, plugin.Path{Order: "this", Changed: 4}, "alone 0 differ 0 left 0 0 0"},
		"a finished one, changed by another": {trial.Request{Module: "clamp"}, plugin.Path{Order: "this", Changed: 3}, "alone 0 differ 0 left 0 1 0"},
	} {
		var shown string
		tr, err := open(t, trial.Config{
			Settings: have, Request: c.request, Order: "this",
			Recall: func(_ *plugin.Query, _ dns.Name, path *plugin.Path) *plugin.Reply {
				switch {
				case path == nil:
					return address(3)
				case path.Group == "inside":
					return address(2)
				case path.Group == "":
					return address(1)
				}
				return nil
			},
			Differ: func(d trial.Difference) {
				if d.Phase == "answer" {
					shown = ": " + d.New[strings.LastIndex(d.New, " ")+1:]
				}
			},
		})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		one := record(t, "www.example", dns.TypeA, nil)
		one.Line.Path = c.path
		if err := tr.Look(t.Context(), one); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		r := tr.Report()
		u := &r.Uses[0]
		if got := fmt.Sprintf("alone %d differ %d left %d %d %d%s", r.Alone, u.Differ, u.NotReached, u.Unplaced, u.Unanswered, shown); got != c.want {
			t.Errorf("%s: %s, want %s", what, got, c.want)
		}
	}
}
