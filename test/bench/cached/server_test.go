//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/settings"
	"github.com/ananas-edge/ananas/test/bench"
)

// All places in all configurations are filled in, and ours compile.
func TestConfigurations(t *testing.T) {
	r := &bench.Rig{Dir: t.TempDir()}
	anchors := filepath.Join(r.Dir, "anchors")
	if err := os.WriteFile(anchors, []byte("signed.example. IN DNSKEY 257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	place := regexp.MustCompile(`\{[a-z_]+\}`)
	zones := []dns.Name{dns.MustParseName("one.example"), missZone}
	// Any setting will do for a server that spins.
	all := append(servers(nil, []string{"node.limits.tcp_idle=5s"}, nil), &server{name: "nsd", conf: map[string]string{"nsd.conf": "nsd.conf"}})
	for i, s := range all {
		dir := filepath.Join(r.Dir, s.name)
		args, err := s.write(r, dir, addressOf(i), zones, anchors)
		if err != nil {
			t.Fatal(err)
		}
		if left := place.FindString(strings.Join(args, " ")); left != "" {
			t.Errorf("%s: %s stands in %q", s.name, left, args)
		}
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != 1 {
			t.Fatalf("%s: %d files: %v", s.name, len(files), err)
		}
		file := filepath.Join(dir, files[0].Name())
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string // comments may show what places look like
		for line := range strings.Lines(string(text)) {
			if l := strings.TrimSpace(line); !strings.HasPrefix(l, "#") && !strings.HasPrefix(l, "//") && !strings.HasPrefix(l, "--") {
				lines = append(lines, line)
			}
		}
		body := strings.Join(lines, "")
		if left := place.FindString(body); left != "" {
			t.Errorf("%s: %s stands in %s", s.name, left, files[0].Name())
		}
		for _, want := range []string{"one.example", "miss.example", authority.Addr().String()} {
			if s.name != "dnsdist" && !strings.Contains(body, want) {
				t.Errorf("%s: %s has no %s", s.name, files[0].Name(), want)
			}
		}
		if !s.ours {
			continue
		}
		if _, err := settings.Check(file); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
		if s.name == "ananas-spin" && !strings.Contains(body, "    tcp_idle: 5s\n") {
			t.Errorf("%s: the setting is not there:\n%s", s.name, body)
		}
	}
}

func TestNest(t *testing.T) {
	got, err := nest([]string{"# a comment", "", "b.c.d: 1", "a: x", "b.c.e: [1, 2]", "b.f: {k: v}", "b.c.d: 2"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("a: x\nb:\n  c:\n    d: 2\n    e: [1, 2]\n  f: {k: v}\n", got); diff != "" {
		t.Error(diff)
	}
	for _, lines := range [][]string{{"a.b: 1", "a.b.c: 2"}, {"a: 1", "a.b.c: 2"}, {"a"}} {
		if got, err := nest(lines); err == nil {
			t.Errorf("%q: no error, but %q", lines, got)
		}
	}
}

// Each server takes its part; what is left out by name or by mode is not started.
func TestPlan(t *testing.T) {
	list := func(o *options, k kind) string {
		some, ways := o.kindServers(k)
		var words []string
		for _, s := range some {
			for _, m := range ways {
				if s.asked(k, m) {
					words = append(words, s.name+"/"+m.name)
				}
			}
			if len(ways) == 0 {
				words = append(words, s.name)
			}
		}
		return strings.Join(words, " ")
	}
	for _, c := range []struct {
		o    options
		k    kind
		want string
	}{
		{options{only: words{"ananas", "dnsdist"}}, manySizes, "ananas/mixed dnsdist/mixed"},
		{options{only: words{"ananas-two", "ananas-signed"}}, oneSize, "ananas-two/many"},
		{options{}, signed, "ananas-signed/signed unbound-signed/signed"},
		{options{modes: words{"misses"}}, oneSize, "ananas unbound"},
		{options{modes: words{"misses"}}, manySizes, ""},
		{options{modes: words{"20k"}, spin: words{"a=b"}, only: words{"ananas-spin", "bind9"}}, oneSize, "ananas-spin/20k bind9/20k"},
		{options{modes: words{"20k"}, only: words{"ananas-spin"}}, oneSize, ""},
	} {
		if got := list(&c.o, c.k); got != c.want {
			t.Errorf("only %v, modes %v, %s: %q, want %q", c.o.only, c.o.modes, c.k, got, c.want)
		}
	}
	o := options{rounds: 3, modes: words{"one", "misses"}, only: words{"ananas", "bind9"}}
	// Two servers filled twice and asked three times each, one of them four times in three rounds of misses, a zone, a look at idle servers.
	if n := o.count(); n != 2*2+2*3+4*3+2 {
		t.Errorf("%d steps", n)
	}
}

func TestOrder(t *testing.T) {
	all := []string{"a", "b", "c"}
	for round, want := range []string{"abc", "bca", "cab", "abc"} {
		if got := strings.Join(order(all, round), ""); got != want {
			t.Errorf("round %d: %s, want %s", round, got, want)
		}
	}
	if order([]string(nil), 3) != nil {
		t.Error("an order of nothing")
	}
}

// Processors are given so that a server is left alone as far as there are enough.
func TestAllot(t *testing.T) {
	pairs := func(a, b int) bool { return a/2 == b/2 }
	none := func(a, b int) bool { return a == b }
	for _, c := range []struct {
		cpus     []int
		siblings func(a, b int) bool
		want     string // server, load, second, authority, remarks
	}{
		{[]int{0}, none, "0 0 0 0 2"},
		{[]int{0, 1}, none, "0 1 1 1 1"},
		{[]int{0, 1}, pairs, "0 1 1 1 2"},
		{[]int{0, 1, 2}, none, "0 1 2 1 0"},
		{[]int{2, 3, 4, 5}, pairs, "2 4 3 5 0"},
		{[]int{0, 1, 2, 3, 4, 5, 6, 7}, pairs, "0 2 4 6 0"},
		{[]int{3, 7, 9, 11}, none, "3 7 9 11 0"},
	} {
		p := allot(c.cpus, c.siblings)
		if got := fmt.Sprint(p.Server, p.Load, p.Second, p.Authority, len(p.Remarks)); got != c.want {
			t.Errorf("%v: %s, want %s (%v)", c.cpus, got, c.want, p)
		}
		if p.told(p.Server, p.Load).String() != p.String() {
			t.Errorf("%v: told what it is anyway, it is another", c.cpus)
		}
		if got := p.told(p.Load, 99); got.Server != p.Load || got.Load != 99 || got.Authority != 99 || got.Second != 99 {
			t.Errorf("%v: told %d and 99, it is %v", c.cpus, p.Load, got)
		}
		if all := p.all(); !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) {
			t.Errorf("%v: processors %v", c.cpus, all)
		}
	}
}
