package rollout

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The cases are in testdata/judge; its README says how they are written.
func TestJudge(t *testing.T) {
	files, err := filepath.Glob("testdata/judge/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(string(b), "\n== ")
		var out strings.Builder
		out.WriteString(parts[0])
		for _, part := range parts[1:] {
			title, rest, _ := strings.Cut(part, "\n")
			in, _, _ := strings.Cut(rest, "----\n")
			plan, v, elapsed, err := parseView(in)
			if err != nil {
				t.Fatalf("%s: %s: %v", name, title, err)
			}
			got := Judge(&plan, v, v.Since.Add(elapsed))
			fmt.Fprintf(&out, "\n== %s\n%s----\n%v: %s\n", title, in, got.Decision, got.Why)
			for _, f := range got.Figures {
				fmt.Fprintf(&out, "  %s\n", f.String())
			}
		}
		if *update {
			if err := os.WriteFile(name, []byte(out.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if d := cmp.Diff(strings.Split(string(b), "\n"), strings.Split(out.String(), "\n")); d != "" {
			t.Errorf("%s (-update writes what came out):\n%s", name, d)
		}
	}
}

const judged ID = "42"

// parseView reads a view as testdata/judge has it.
func parseView(text string) (Plan, *View, time.Duration, error) {
	plan := DefaultPlan()
	v := &View{ID: judged, Since: wall}
	elapsed := plan.Bake
	var site, with string
	var err error
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		args := words[1:]
		switch words[0] {
		case "plan":
			for _, a := range args {
				k, val, _ := strings.Cut(a, "=")
				switch k {
				case "queries":
					plan.Queries, err = strconv.ParseUint(val, 10, 64)
				case "margin":
					err = plan.Margin.UnmarshalText([]byte(val))
				case "blocked":
					err = plan.Blocked.UnmarshalText([]byte(val))
				case "patience":
					plan.Patience, err = time.ParseDuration(val)
				default:
					err = fmt.Errorf("plan %q", a)
				}
			}
		case "elapsed":
			elapsed, err = time.ParseDuration(args[0])
		case "reached":
			v.Reached, err = strconv.Atoi(args[0])
		case "site":
			site, with = strings.Trim(args[0], `"`), ""
			if len(args) > 1 {
				with = args[1]
			}
		case "holders":
			err = parseSum(args, &v.Stratum(site, with).Holders)
		case "others":
			err = parseSum(args, &v.Stratum(site, with).Others)
		case "before":
			err = parseSum(args, &v.Stratum(site, with).Before)
		case "baseline":
			v.Baseline = new(Sum)
			err = parseSum(args, v.Baseline)
		case "in", "out":
			err = parseNodes(args, words[0] == "in", &plan, v)
		default:
			err = fmt.Errorf("line %q", line)
		}
		if err != nil {
			return plan, nil, 0, fmt.Errorf("%q: %w", line, err)
		}
	}
	return plan, v, elapsed, nil
}

func parseSum(args []string, s *Sum) error {
	var timed bool
	for _, a := range args {
		k, val, _ := strings.Cut(a, "=")
		if k == "latency" {
			timed = true
			for _, one := range strings.Split(val, ",") {
				d, n, _ := strings.Cut(one, ":")
				dur, err := time.ParseDuration(d)
				if err != nil {
					return err
				}
				count, err := strconv.ParseUint(n, 10, 64)
				if err != nil {
					return err
				}
				s.Latency.Observe(dur, count)
			}
			continue
		}
		n, err := strconv.ParseUint(val, 10, 64)
		if err != nil {
			return err
		}
		switch k {
		case "panics":
			s.Panics = n
		case "faults":
			s.Faults = n
		case "decided":
			s.Decided = n
		default:
			c := Class(0)
			for c < Classes && c.String() != k {
				c++
			}
			if c == Classes {
				return fmt.Errorf("class %q", k)
			}
			s.Results[c] = n
		}
	}
	if !timed {
		s.Latency.Observe(time.Millisecond, s.Queries())
	}
	return nil
}

func parseNodes(args []string, in bool, plan *Plan, v *View) error {
	row := Row{NodeState: NodeState{Name: args[0], Version: 42}}
	if in {
		row.Sets = []ID{judged}
	}
	count := 1
	for _, a := range args[1:] {
		var err error
		k, val, _ := strings.Cut(a, "=")
		text := strings.ReplaceAll(val, "_", " ")
		switch k {
		case "x":
			count, err = strconv.Atoi(val)
		case "site":
			row.Site = val
		case "silent":
			row.Silent, err = time.ParseDuration(val)
		case "restarted":
			row.Restarted = true
		case "late":
			row.Sets, row.Version = nil, 41
		case "refused":
			row.Sets, row.Version, row.Refused, row.Error = nil, 41, []ID{judged}, text
		case "error":
			row.Sets, row.Version, row.Error = nil, 40, text
		case "fault":
			row.Fault = text
		case "broken-before":
			row.Before.Broken = true
		case "probe":
			row.Probes = probes(text)
		case "probe-before":
			row.Before.Probe, _ = (&NodeState{Probes: probes(text)}).probe(judged)
		default:
			err = fmt.Errorf("node %q", a)
		}
		if err != nil {
			return err
		}
	}
	name := row.Name
	for i := range count {
		if count > 1 {
			row.Name = fmt.Sprintf("%s%d", name, i+1)
		}
		v.See(plan, &row, in)
	}
	return nil
}

// probes reads the result of a probe: passes, fails and why, has failed once, or was not tried yet.
func probes(text string) []Probe {
	switch text {
	case "pass":
		return []Probe{{Rollout: "41", Failing: 9}, {Rollout: judged, Passed: 3}}
	case "once":
		return []Probe{{Rollout: judged, Passed: 3, Failing: 1, Error: "timeout"}}
	case "open":
		return []Probe{{Rollout: judged}}
	}
	return []Probe{{Rollout: judged, Failing: ProbeTries, Error: text}}
}
