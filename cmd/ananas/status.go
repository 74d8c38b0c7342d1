package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
	"github.com/ananas-edge/ananas/telemetry"
)

type statusCommand struct {
	JSON bool `help:"Print the status as JSON."`
	nodeFlags
}

// Help is printed below the usage.
func (statusCommand) Help() string {
	return `Name, version, settings, store, listeners, counts since the start, cache, trust anchors, the local root, health and crashes. A node that is not ready is a status too: the exit code is 0. Probes ask /readyz on the admin address.

Example:

  ananas status --node 192.0.2.53:8053`
}

// Run prints the status.
func (c *statusCommand) Run(p *process) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	status, err := node.Status(p.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(status)
	}
	screen := terminal.Of(p.stdout, p.env)
	return p.print(func(w io.Writer) error { return writeStatus(w, screen, status) })
}

// maxCrashes is how many crashes are shown; the data folder has a report of each, and --json lists them all.
const maxCrashes = 5

// writeStatus writes the status for people: a word on the left, what there is to say of it on the right.
func writeStatus(w io.Writer, screen terminal.Screen, s admin.Status) error {
	var b strings.Builder
	row := rows(&b, screen, len("local root"))
	row("node", s.Name+", "+s.Version+", up "+ago(s.Now.Sub(s.Started)), terminal.Bold)
	health(row, s.Health)
	settingsRows(row, s)
	storeRows(row, &s.Store)
	var listeners []string
	for _, l := range s.Listeners {
		listeners = append(listeners, l.Protocol+" "+l.Address)
	}
	if len(listeners) == 0 {
		row("listening", "nowhere", terminal.Red)
	} else {
		row("listening", strings.Join(listeners, ", "), terminal.Plain)
	}
	q := s.Queries
	asked := q.Total - min(q.Refused, q.Total) // the shares are of those that were answered
	queries := fmt.Sprintf("%s: %s from cache, %s from expired data, %s failed",
		thousands(asked), percent(q.Hits, asked), percent(q.Stale, asked), percent(q.Failures, asked))
	if q.Refused > 0 {
		queries += fmt.Sprintf("; %s more turned away", thousands(q.Refused))
	}
	row("queries", queries, terminal.Plain)
	upstream := thousands(q.Upstream) + " questions to name servers"
	if q.Total > 0 {
		upstream += fmt.Sprintf(", %.2f a query", float64(q.Upstream)/float64(q.Total))
	}
	row("upstream", upstream+"; "+count(q.Jobs, "resolution", "resolutions")+" under way", terminal.Plain)
	row("cache", fmt.Sprintf("%s, %s of %s (%s)", count(int(s.Cache.Entries), "entry", "entries"), size(s.Cache.Bytes), size(s.Cache.Capacity),
		percent(uint64(max(s.Cache.Bytes, 0)), uint64(max(s.Cache.Capacity, 0)))), terminal.Plain)
	anchors(row, s.Now, s.TrustAnchors)
	negative(row, s.Now, s.NegativeAnchors)
	localRoot(row, s.Now, s.LocalRoot)
	crashes(row, s.Now, s.Crashes)
	_, err := io.WriteString(w, b.String())
	return err
}

type rowFunc func(word, text string, style terminal.Style)

func health(row rowFunc, h telemetry.HealthReport) {
	if h.Ready {
		row("health", "ready", terminal.Green)
	} else {
		row("health", "not ready", terminal.Red)
	}
	for _, c := range h.Checks {
		if !c.OK {
			row("", c.Name+": "+c.Error, terminal.Red)
		}
	}
	for _, w := range h.Warnings {
		row("warning", w.Name+": "+w.Text, terminal.Yellow)
	}
}

func settingsRows(row rowFunc, s admin.Status) {
	row("settings", s.Settings.Source+", read "+ago(s.Now.Sub(s.Settings.Loaded))+" ago", terminal.Plain)
	if s.Settings.Error != "" {
		row("", "the last reload was not taken: "+s.Settings.Error, terminal.Red)
	}
	if len(s.Settings.Restart) > 0 {
		row("", "changed in the file, and waits for a restart: "+strings.Join(s.Settings.Restart, ", "), terminal.Yellow)
	}
}

func crashes(row rowFunc, now time.Time, list []telemetry.Crash) {
	if len(list) == 0 {
		row("crashes", "none", terminal.Green)
		return
	}
	var total uint64
	for _, c := range list {
		total += c.Count
	}
	row("crashes", fmt.Sprintf("%s, of %s", thousands(total), count(len(list), "kind", "kinds")), terminal.Red)
	for i, c := range list {
		if i == maxCrashes {
			row("", fmt.Sprintf("and %d kinds more", len(list)-maxCrashes), terminal.Plain)
			break
		}
		row("", fmt.Sprintf("%s: %s, the last %s ago, %s: %s", c.Signature, count(int(c.Count), "time", "times"), ago(now.Sub(c.Last)), c.What, c.Panic), terminal.Plain)
	}
	row("", "crashes/SIGNATURE.txt in the node's data folder has the stack: please send it to us", terminal.Plain)
}
