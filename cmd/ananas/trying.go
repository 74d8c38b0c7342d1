package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
	"github.com/ananas-edge/ananas/nameserver/plugin/trial"
)

// trying shows a trial. On a terminal the report is drawn again and again; elsewhere it is written at the end.
type trying struct {
	p      *process
	name   string
	json   bool
	file   bool // the queries are of a file
	screen terminal.Screen
	drawn  int // lines on the terminal, which the next ones are drawn over

	known  bool // there is a report
	report trial.Report
	took   time.Duration
	err    error // of writing
}

func newTrying(p *process, c *moduleTryCommand) *trying {
	return &trying{p: p, name: c.Name, json: c.JSON, file: c.Dnstap != "", screen: terminal.Of(p.stdout, p.env)}
}

// draws tells whether somebody looks on.
func (t *trying) draws() bool { return !t.json && t.screen.Terminal }

// triedLine is a line of what --json prints: one of the two is set.
type triedLine struct {
	Difference *trial.Difference `json:"difference,omitempty"`
	Report     *triedReport      `json:"report,omitempty"`
}

type triedReport struct {
	Module  string  `json:"module"`
	Seconds float64 `json:"seconds"`
	trial.Report

	File *triedFile `json:"file,omitempty"`
}

// triedFile is what was in a file of dnstap.
type triedFile struct {
	Name    string            `json:"name"`
	Octets  int64             `json:"octets"`
	Whole   bool              `json:"whole"`   // it has ended as its writer ends one
	Queries int               `json:"queries"` // of clients
	Skipped map[string]uint64 `json:"skipped"` // messages that are none of clients, by their type
}

// difference writes a difference, where that is wanted.
func (t *trying) difference(d trial.Difference) {
	if t.json && t.err == nil {
		t.err = t.line(triedLine{Difference: &d})
	}
}

func (t *trying) line(v any) error {
	return t.p.print(func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return e.Encode(v)
	})
}

// last takes the report that will be written at the end.
func (t *trying) last(r trial.Report, took time.Duration) error {
	t.known, t.report, t.took = true, r, took
	return t.err
}

// progress takes a report, and draws it.
func (t *trying) progress(r trial.Report, took time.Duration) error {
	if err := t.last(r, took); err != nil || !t.draws() {
		return err
	}
	return t.draw(liveGroups, t.screen.Width)
}

// How many groups of differences are shown while the trial runs, and at the end. JSON has all.
const (
	liveGroups = 8
	lastGroups = 30
)

// draw writes the report over the one before it, in lines of so many columns; 0: whole lines, which nothing is drawn over.
func (t *trying) draw(groups, width int) error {
	var b strings.Builder
	if err := t.write(&b, groups); err != nil {
		return err
	}
	return t.p.print(func(w io.Writer) error {
		if t.drawn > 0 {
			if _, err := fmt.Fprintf(w, "\x1b[%dA\x1b[J", t.drawn); err != nil { // ECMA-48: CUU, that many lines up; ED, erase what is below
				return err
			}
		}
		t.drawn = 0
		for line := range strings.Lines(b.String()) {
			if _, err := io.WriteString(w, terminal.Cut(strings.TrimRight(line, "\n"), max(width-1, 0))+"\n"); err != nil {
				return err
			}
			t.drawn++
		}
		return nil
	})
}

// end writes the report that is the last.
func (t *trying) end(file *tapFile) error {
	switch {
	case t.err != nil:
		return t.err
	case t.json:
		out := &triedReport{Module: t.name, Seconds: t.took.Seconds(), Report: t.report}
		if file != nil {
			out.File = &triedFile{file.name, file.At(), file.Whole(), file.taken, file.Skipped}
		}
		t.err = t.line(triedLine{Report: out})
	case t.draws():
		t.err = t.draw(lastGroups, 0)
	default:
		t.err = t.p.print(func(w io.Writer) error { return t.write(w, lastGroups) })
	}
	if t.err == nil && file != nil {
		t.err = t.tellFile(file)
	}
	return t.err
}

// tellFile says what of a file was not looked at.
func (t *trying) tellFile(f *tapFile) error {
	var lines []string
	for _, kind := range slices.Sorted(maps.Keys(f.Skipped)) {
		lines = append(lines, fmt.Sprintf("%s of type %s are none of clients, and were left out", count(int(f.Skipped[kind]), "message", "messages"), kind))
	}
	if f.cut != nil {
		lines = append(lines, fmt.Sprintf("%s: %v; what is before it was looked at", f.name, f.cut))
	}
	for _, l := range lines {
		if _, err := fmt.Fprintf(t.p.stderr, "warning: %s\n", l); err != nil {
			return fmt.Errorf("writing the output: %w", err)
		}
	}
	return nil
}

// failure is the error of --fail.
func (t *trying) failure() error {
	differ, faults := t.report.Differing(), t.report.Faults()
	switch {
	case differ > 0:
		return hinted{fmt.Errorf("module %q: %s", t.name, count(int(differ), "verdict differs", "verdicts differ")), "look at them; without --fail they are no error"}
	case faults > 0:
		return hinted{fmt.Errorf("module %q: the new version has failed %s", t.name, count(int(faults), "time", "times")), "ananas module test repeats a query; without --fail that is no error"}
	case t.report.Compared() == 0:
		return hinted{fmt.Errorf("module %q: nothing was compared", t.name), "take a file with queries, or a longer time with --for; of phase answer only queries count to which an answer is known. Without --fail that is no error"}
	}
	return nil
}

// write writes the report.
func (t *trying) write(w io.Writer, groups int) error {
	r := &t.report
	for i := range r.Uses {
		if err := t.writeUse(w, &r.Uses[i], groups); err != nil {
			return err
		}
	}
	var notes []string
	note := func(n uint64, one, many string) {
		if n > 0 {
			notes = append(notes, count(int(n), one, many))
		}
	}
	for i := range r.Lists {
		notes = append(notes, terminal.Clean(listNote(&r.Lists[i])))
	}
	note(r.Lost, "query came and was not looked at, since the trial did not keep up; --one-in looks at fewer", "queries came and were not looked at, since the trial did not keep up; --one-in looks at fewer")
	note(r.Unreadable, "query was none that modules are shown", "queries were none that modules are shown")
	switch {
	case t.file && r.Alone > 0:
		notes = append(notes, "each query was looked at alone: the file does not tell what modules before this one say of it, nor whether they end it")
	default:
		note(r.Alone, "query was looked at alone, since other settings have answered it", "queries were looked at alone, since other settings have answered them")
	}
	note(r.Unknown, "question of the new version's own was about what is not known here; in a trial nobody is asked", "questions of the new version's own were about what is not known here; in a trial nobody is asked")
	for _, n := range notes {
		if _, err := fmt.Fprintln(w, n); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s in %s\n", count(int(r.Queries), "query", "queries"), shortly(t.took))
	return err
}

// listNote says which list was tried.
func listNote(l *trial.TriedList) string {
	now := "none"
	if l.Now != nil {
		now = thousands(uint64(*l.Now))
	}
	text := fmt.Sprintf("list %s: %s in %s, %s in use", l.Name, count(l.New, "entry", "entries"), l.File, now)
	if l.Bad > 0 {
		text += fmt.Sprintf("; %s left out, which can't be read", count(l.Bad, "line was", "lines were"))
	}
	return text
}

// shortly writes how long something took.
func shortly(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return ago(d)
}

func (t *trying) writeUse(w io.Writer, u *trial.Use, groups int) error {
	where := "at phase " + u.Phase
	if u.Place > 0 {
		where += fmt.Sprintf(", place %d", u.Place)
	}
	if _, err := fmt.Fprintf(w, "%s %s: %s alike, %s\n", t.name, where, thousands(u.Alike), count(int(u.Differ), "differs", "differ")); err != nil {
		return err
	}
	if err := writeGroups(w, u, groups); err != nil {
		return err
	}
	versions := &terminal.Table{Head: []string{"VERSION", "DIGEST", " CALLS", " FAULTS", " MEDIAN FUEL", " WORST FUEL", " MEDIAN US", " WORST US"}}
	for _, v := range []struct {
		name string
		*trial.Version
	}{{"now", &u.Old}, {"new", &u.New}} {
		if v.Version.Version == "" {
			versions.Rows = append(versions.Rows, []string{v.name + ": no module", "-", "-", "-", "-", "-", "-", "-"})
			continue
		}
		versions.Rows = append(versions.Rows, []string{v.name + ": " + v.Version.Version, v.SHA256[:min(8, len(v.SHA256))], thousands(v.Calls), thousands(v.Faults),
			thousands(uint64(max(v.Fuel.Median, 0))), thousands(uint64(max(v.Fuel.Worst, 0))), micros(v.Nanos.Median), micros(v.Nanos.Worst)})
	}
	if err := versions.Write(w); err != nil {
		return err
	}
	for _, note := range useNotes(u) {
		if _, err := fmt.Fprintln(w, terminal.Clean(note)); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// writeGroups writes the differences, the most frequent first.
func writeGroups(w io.Writer, u *trial.Use, most int) error {
	if len(u.Groups) == 0 {
		return nil
	}
	table := &terminal.Table{Head: []string{" QUERIES", "NOW", "NEW", "FOR EXAMPLE"}}
	shown := u.Groups[:min(most, len(u.Groups))]
	for _, g := range shown {
		var names []string
		for _, e := range g.Examples[:min(3, len(g.Examples))] {
			names = append(names, e.Name+" "+e.Type)
		}
		table.Rows = append(table.Rows, []string{thousands(g.Count), g.Old, g.New, strings.Join(names, ", ")})
	}
	if err := table.Write(w); err != nil {
		return err
	}
	rest := u.Others
	for _, g := range u.Groups[len(shown):] {
		rest += g.Count
	}
	if rest == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "and %s of other kinds\n", count(int(rest), "difference", "differences"))
	return err
}

// useNotes says what else one should know.
func useNotes(u *trial.Use) (notes []string) {
	if u.Old.SHA256 == u.New.SHA256 {
		notes = append(notes, "both are the same file")
	}
	for _, reason := range slices.Sorted(maps.Keys(u.New.Reasons)) {
		notes = append(notes, fmt.Sprintf("the new version has failed %s by %s", count(int(u.New.Reasons[reason]), "time", "times"), reason))
	}
	for _, reason := range slices.Sorted(maps.Keys(u.Old.Reasons)) {
		notes = append(notes, fmt.Sprintf("the version that runs has failed %s by %s", count(int(u.Old.Reasons[reason]), "time", "times"), reason))
	}
	switch {
	case u.Old.Pure && !u.New.Pure:
		notes = append(notes, "the new version is not pure: its verdicts are not kept with answers any more, and it is called for each query")
	case !u.New.Pure && u.New.Calls > 0 && !u.Old.Pure && u.Old.Version == "" && u.Phase != "log":
		notes = append(notes, "it is not pure: it is called for each query")
	}
	if !u.New.Fast && u.Phase == "query" && (u.Old.Fast || u.Old.Version == "") {
		notes = append(notes, "the new version runs beside the loop that answers from the cache: each of its queries takes the long way")
	}
	if u.NotReached > 0 {
		notes = append(notes, count(int(u.NotReached), "query was shown to neither, since a module before it has ended it", "queries were shown to neither, since a module before it has ended them"))
	}
	if u.Unplaced > 0 {
		notes = append(notes, fmt.Sprintf("%s shown to neither, since of a finished answer it is not known how modules before it have left it", count(int(u.Unplaced), "query was", "queries were")))
	}
	if u.Unanswered > 0 {
		notes = append(notes, fmt.Sprintf("%s shown to neither, since no answer is known here", count(int(u.Unanswered), "query was", "queries were")))
	}
	return notes
}

// micros writes nanoseconds as microseconds.
func micros(ns int64) string { return fmt.Sprintf("%.1f", float64(ns)/1000) }
