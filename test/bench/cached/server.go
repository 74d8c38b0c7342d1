//go:build linux

package main

import (
	"embed"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/test/bench"
)

//go:embed *.conf ananas.settings
var templates embed.FS

var authority = netip.MustParseAddrPort("192.0.2.1:53") // of NSD

// addressOf is where a server listens: each at an address of its own, on a port that none takes by chance for what it asks.
func addressOf(index int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(1 + index)}), 53)
}

// server is a server that is measured, or one way to run it.
type server struct {
	name   string
	ours   bool
	what   string            // for people
	kinds  []kind            // what it is asked
	modes  []string          // of the modes only these; nil: all but those that are named for others
	loops  int               // of ours: loops, each on a processor of its own
	keys   []string          // of ours: more settings
	conf   map[string]string // file in its folder: template
	args   []string
	checks bool // it validates
}

var everything = []kind{manySizes, oneSize}

// servers are all that can be measured, ours first. more, spin and two are settings: of all of ours, of one that spins, of one with two loops.
func servers(more, spin, two []string) []*server {
	ananas := func(name, what string, keys []string, loops int, kinds []kind, modes ...string) *server {
		return &server{name: name, ours: true, what: what, kinds: kinds, modes: modes, loops: loops, keys: slices.Concat(more, keys), checks: kinds[0] == signed}
	}
	unbound := func(name, what string, kinds ...kind) *server {
		return &server{name: name, what: what, kinds: kinds, conf: map[string]string{"unbound.conf": "unbound.conf"},
			args: []string{"unbound", "-d", "-c", "{dir}/unbound.conf"}, checks: kinds[0] == signed}
	}
	all := []*server{ananas("ananas", "as it ships", nil, 1, everything)}
	if len(spin) > 0 {
		all = append(all, ananas("ananas-spin", "spinning before it sleeps", spin, 1, everything))
	}
	return append(all,
		ananas("ananas-two", "two loops on two processors", two, 2, []kind{oneSize}, "many"),
		ananas("ananas-signed", "a signed zone, validated", nil, 1, []kind{signed}),
		unbound("unbound", "", everything...),
		unbound("unbound-signed", "a signed zone, validated", signed),
		&server{name: "dnsdist", what: "a packet cache, no resolver", kinds: everything, conf: map[string]string{"dnsdist.conf": "dnsdist.conf"},
			args: []string{"dnsdist", "-C", "{dir}/dnsdist.conf", "--supervised", "--disable-syslog"}},
		&server{name: "recursor", what: "PowerDNS Recursor", kinds: everything, conf: map[string]string{"recursor.conf": "recursor.conf"},
			args: []string{"pdns_recursor", "--config-dir={dir}"}},
		&server{name: "kresd", what: "Knot Resolver", kinds: everything, conf: map[string]string{"kresd.conf": "kresd.conf"},
			args: []string{"kresd", "-n", "-q", "-c", "{dir}/kresd.conf", "{dir}"}},
		&server{name: "bind9", what: "", kinds: everything, conf: map[string]string{"named.conf": "named.conf"},
			args: []string{"named", "-f", "-n", "1", "-c", "{dir}/named.conf"}},
	)
}

// peers are those that the better of is what we are held against.
var peers = []string{"unbound", "dnsdist"}

// asked tells whether a server takes part in a mode with questions of a kind.
func (s *server) asked(k kind, m *mode) bool {
	return slices.Contains(s.kinds, k) && (len(s.modes) == 0 || slices.Contains(s.modes, m.name))
}

// zonesOf writes a list of zones as each server wants it.
func (s *server) zonesOf(zones []dns.Name) string {
	var parts []string
	for _, z := range zones {
		name := strings.TrimSuffix(z.String(), ".")
		var part string
		switch strings.SplitN(s.name, "-", 2)[0] {
		case "ananas":
			part = fmt.Sprintf("{ zone: %s, servers: [%q] }", name, authority)
		case "unbound":
			part = fmt.Sprintf("stub-zone:\n  name: %q\n  stub-addr: %s@%d\n", name, authority.Addr(), authority.Port())
		case "kresd":
			part = fmt.Sprintf("%q", name+".")
		case "recursor":
			part = fmt.Sprintf("%s=%s", name, authority)
		case "bind9":
			part = fmt.Sprintf("zone %q { type forward; forward only; forwarders { %s port %d; }; };\n", name, authority.Addr(), authority.Port())
		case "nsd":
			part = fmt.Sprintf("zone:\n  name: %q\n  zonefile: %q\n", name, name+".zone")
		}
		parts = append(parts, part)
	}
	if s.name == "unbound" || s.name == "unbound-signed" || s.name == "bind9" || s.name == "nsd" {
		return strings.Join(parts, "")
	}
	return strings.Join(parts, ", ")
}

// write fills in the configuration of a server that is to listen at an address, and returns the command to start it.
func (s *server) write(r *bench.Rig, dir string, at netip.AddrPort, zones []dns.Name, anchors string) ([]string, error) {
	modules, anchor := "iterator", ""
	if s.checks {
		modules, anchor = "validator iterator", fmt.Sprintf("trust-anchor-file: %q", anchors)
	}
	fill := strings.NewReplacer("{dir}", dir, "{address}", at.Addr().String(), "{port}", strconv.Itoa(int(at.Port())),
		"{authority}", authority.String(), "{authority_at}", fmt.Sprintf("%s@%d", authority.Addr(), authority.Port()), "{zones}", s.zonesOf(zones),
		"{modules}", modules, "{anchors}", anchor).Replace
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for file, template := range s.conf {
		text, err := templates.ReadFile(template)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(fill(string(text))), 0o644); err != nil {
			return nil, err
		}
	}
	if s.ours {
		return s.writeOurs(r, dir, fill, anchors)
	}
	var args []string
	for _, a := range s.args {
		args = append(args, fill(a))
	}
	return args, nil
}

func (s *server) writeOurs(r *bench.Rig, dir string, fill func(string) string, anchors string) ([]string, error) {
	text, err := templates.ReadFile("ananas.settings")
	if err != nil {
		return nil, err
	}
	lines := strings.Split(fill(string(text)), "\n")
	if s.checks {
		lines = append(lines, fmt.Sprintf("settings.recursion.trust_anchors: %q", anchors), "settings.recursion.trust_anchor_updates: false")
	}
	for _, set := range s.keys {
		key, value, ok := strings.Cut(set, "=")
		if !ok {
			return nil, fmt.Errorf("setting %q: must be KEY=VALUE", set)
		}
		lines = append(lines, key+": "+value)
	}
	yaml, err := nest(lines)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "ananas.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o644); err != nil {
		return nil, err
	}
	program := r.Ananas
	if program == "" {
		program = filepath.Join(r.Dir, "ananas")
	}
	return []string{program, "serve", "--config", file}, nil
}

// nest turns lines of "a.b.c: value" into YAML. The last line of a key counts; lines that are empty or begin with # do not.
func nest(lines []string) (string, error) {
	values := map[string]string{}
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, ": ")
		if !ok {
			return "", fmt.Errorf("reading the settings line %q: no value", line)
		}
		values[key] = value
	}
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	slices.Sort(keys) // those of one section are then together
	var b strings.Builder
	var open []string
	for _, key := range keys {
		words := strings.Split(key, ".")
		same := 0
		for same < len(open) && same < len(words)-1 && open[same] == words[same] {
			same++
		}
		for i := 1; i < len(words); i++ {
			if above := strings.Join(words[:i], "."); slices.Contains(keys, above) {
				return "", fmt.Errorf("setting %q: %q has a value", key, above)
			}
		}
		for i := same; i < len(words)-1; i++ {
			fmt.Fprintf(&b, "%s%s:\n", strings.Repeat("  ", i), words[i])
		}
		fmt.Fprintf(&b, "%s%s: %s\n", strings.Repeat("  ", len(words)-1), words[len(words)-1], values[key])
		open = words[:len(words)-1]
	}
	return b.String(), nil
}
