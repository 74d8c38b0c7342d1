package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/admin"
)

// linesNode is a node whose modules have said what it is given.
type linesNode struct {
	admin.ModuleSource
	lines []admin.ModuleLine
}

func (l *linesNode) ModuleLogs(context.Context, string) ([]admin.ModuleLine, error) {
	return l.lines, nil
}

// --follow shows each line once, those too that a node writes that has begun anew meanwhile, until the user interrupts.
func TestModuleLogsFollow(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	line := func(seq uint64, text string) admin.ModuleLine {
		return admin.ModuleLine{Seq: seq, Time: at, Module: "block", Level: "info", Text: text}
	}
	source := &linesNode{lines: []admin.ModuleLine{line(8, "one"), line(9, "two")}}
	address, err := startNode(admin.Config{Data: t.TempDir(), Modules: source, Now: func() time.Time { return at }}, t.Cleanup)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ flag, want string }{
		{"--follow", "12:00:00.000 info  block: one\n12:00:00.000 info  block: two\n12:00:00.000 info  block: three\n12:00:00.000 info  block: four\n"},
		{"--json", `{"seq":8,"time":"2026-03-01T12:00:00Z","module":"block","level":"info","text":"one"}`},
	} {
		source.lines = source.lines[:2:2]
		ctx, interrupt := context.WithCancel(t.Context())
		var stdout bytes.Buffer
		looks := 0
		p := &process{ctx: ctx, stdout: &stdout, env: func(string) string { return "" }, wait: func(context.Context, time.Duration) {
			switch looks++; looks {
			case 1: // nothing new
			case 2:
				source.lines = append(source.lines, line(10, "three"))
			case 3:
				source.lines = []admin.ModuleLine{line(1, "four")}
			default:
				interrupt()
			}
		}}
		kept := source.lines
		cmd := moduleLogsCommand{Name: "block", Follow: true, JSON: c.flag == "--json", nodeFlags: nodeFlags{Node: address}}
		if err := cmd.Run(p); err != nil {
			t.Fatal(err)
		}
		source.lines = kept
		if got := stdout.String(); !strings.HasPrefix(got, c.want) || strings.Count(got, "\n") != 4 {
			t.Errorf("%s: got\n%s", c.flag, got)
		}
	}
}
