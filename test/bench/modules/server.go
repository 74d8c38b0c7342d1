//go:build linux

package main

import (
	"embed"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/ananas-edge/ananas/test/bench"
	"github.com/ananas-edge/ananas/wasm"
)

//go:embed *.conf ananas.yaml
var templates embed.FS

const authority = "192.0.2.1" // of NSD

// addressOf is where a server listens.
func addressOf(index int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(1 + index)}), 53)
}

// server is a server that is measured, with a way to block names or without.
type server struct {
	name   string
	base   string // the same without the list; "": this is one
	what   string
	file   string // its configuration, and the template
	args   []string
	words  map[string]string // more to fill in
	beside map[string]string // more files in its folder
	blocks bool
	zero   bool // it answers 0.0.0.0 for what is listed, not NXDOMAIN
	extra  bool // its program is left out where it is not there: test/install-peers go builds it, if it can be had
	own    bool // asked for names that are not listed alone, too
}

const rpzHead = "$TTL 60\n@ SOA localhost. nobody.invalid. 1 3600 1200 604800 60\n@ NS localhost.\n"

// servers are all of them.
func servers(dir string) []*server {
	list, rpz, local, hosts := filepath.Join(dir, "list.txt"), filepath.Join(dir, "list.rpz"), filepath.Join(dir, "list.unbound"), filepath.Join(dir, "list.hosts")
	ananas := func(name, what, manifest string) *server {
		s := &server{name: name, what: what, file: "ananas.yaml", args: []string{"{ananas}", "serve", "--config", "{dir}/ananas.yaml"}, words: map[string]string{"{policy}": ""}, own: true}
		if manifest != "" {
			s.base, s.blocks = "ananas", true
			s.words["{policy}"] = "  modules: [{ name: listed, file: " + filepath.Join(dir, name+".wasm") + " }]\n  data: [{ name: bad, file: " + list + ", format: domains }]\n" +
				"  plugins: [{ module: listed, phase: query, grant: [data/bad] }]\n"
		}
		return s
	}
	unbound := func(name, what, modules, local, rpz string) *server {
		return &server{name: name, what: what, file: "unbound.conf", args: []string{"unbound", "-d", "-c", "{dir}/unbound.conf"}, words: map[string]string{"{modules}": modules, "{local}": local, "{rpz}": rpz}}
	}
	recursor := func(name, what, lua string) *server {
		return &server{name: name, what: what, file: "recursor.conf", args: []string{"pdns_recursor", "--config-dir={dir}"}, beside: map[string]string{"policy.lua": lua}}
	}
	kresd := func(name, what, lua string) *server {
		return &server{name: name, what: what, file: "kresd.conf", args: []string{"kresd", "-n", "-q", "-c", "{dir}/kresd.conf", "{dir}"}, words: map[string]string{"{policy}": lua}}
	}
	dnsdist := func(name, what, lua string) *server {
		return &server{name: name, what: what, file: "dnsdist.conf", args: []string{"dnsdist", "-C", "{dir}/dnsdist.conf", "--supervised", "--disable-syslog"}, words: map[string]string{"{policy}": lua}}
	}
	coredns := func(name, what, policy string) *server {
		return &server{name: name, what: what, file: "coredns.conf", args: []string{"coredns", "-quiet", "-conf", "{dir}/coredns.conf"}, words: map[string]string{"{policy}": policy}, zero: policy != "", extra: true}
	}
	with := func(base string, s *server) *server { s.base, s.blocks = base, true; return s }
	return []*server{
		ananas("ananas", "no module", ""),
		ananas("ananas-twin", "the same, another process: what chance is", ""),
		ananas("ananas-pure", "module, its verdict kept with the answer", manifests["ananas-pure"]),
		ananas("ananas-impure", "the same module, called for each query", manifests["ananas-impure"]),
		unbound("unbound", "no list", "iterator", "", ""),
		with("unbound", unbound("unbound-local", "local zones, always_nxdomain", "iterator", fmt.Sprintf("include: %q", local), "")),
		with("unbound", unbound("unbound-rpz", "RPZ", "respip iterator", "", fmt.Sprintf("rpz:\n  name: \"rpz.bench\"\n  zonefile: %q\n", rpz))),
		recursor("recursor", "no list", "-- no policy\n"),
		with("recursor", recursor("recursor-rpz", "RPZ", fmt.Sprintf("rpzFile(%q, {policyName=\"bench\"})\n", rpz))),
		kresd("kresd", "no list", ""),
		with("kresd", kresd("kresd-rpz", "RPZ", fmt.Sprintf("policy.add(policy.rpz(policy.DENY, %q, false))", rpz))),
		dnsdist("dnsdist", "no list", ""),
		with("dnsdist", dnsdist("dnsdist-list", "SuffixMatchNodeRule", fmt.Sprintf("local list = newSuffixMatchNode()\nfor name in io.lines(%q) do list:add(name) end\naddAction(SuffixMatchNodeRule(list), RCodeAction(DNSRCode.NXDOMAIN))", list))),
		coredns("coredns", "no list", ""),
		with("coredns", coredns("coredns-hosts", "hosts, 0.0.0.0", fmt.Sprintf("hosts %q {\n\t\tttl 60\n\t\treload 0\n\t\tno_reverse\n\t\tfallthrough\n\t}", hosts))),
	}
}

// manifests of the module, by server.
var manifests = map[string]string{
	"ananas-pure":   "abi: 1\nname: listed\nversion: '1'\nphases: [query]\nneeds: [data/bad]\npure: true\n",
	"ananas-impure": "abi: 1\nname: listed\nversion: '1'\nphases: [query]\nneeds: [data/bad]\n",
}

// writeLists writes the list in all formats, and the modules that ask it.
func (b *bout) writeLists() error {
	for _, f := range []struct{ file, head, line string }{
		{"list.txt", "", "%s\n"}, {"list.rpz", rpzHead, "%[1]s CNAME .\n*.%[1]s CNAME .\n"}, {"list.unbound", "", "local-zone: \"%s\" always_nxdomain\n"}, {"list.hosts", "", "0.0.0.0 %[1]s www.%[1]s\n"},
	} {
		if err := writeList(filepath.Join(b.rig.Dir, f.file), b.seed, b.entries, f.head, f.line); err != nil {
			return err
		}
	}
	guest, err := os.ReadFile(filepath.Join(guests, "listed.wasm"))
	if err != nil {
		return err
	}
	for name, manifest := range manifests {
		module, err := wasm.Attach(guest, []byte(manifest))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(b.rig.Dir, name+".wasm"), module, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// guests is where modules are that need no compiler.
const guests = "nameserver/plugin/testdata/guests"

// write fills in the configuration of a server that is to listen at an address, and returns the command to start it.
func (s *server) write(r *bench.Rig, dir string, at netip.AddrPort) ([]string, error) {
	ananas := r.Ananas
	if ananas == "" {
		ananas = filepath.Join(r.Dir, "ananas")
	}
	words := []string{"{dir}", dir, "{address}", at.Addr().String(), "{authority}", authority, "{ananas}", ananas}
	for word, text := range s.words {
		words = append(words, word, text)
	}
	fill := strings.NewReplacer(words...).Replace
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	text, err := templates.ReadFile(s.file)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, s.file), []byte(fill(string(text))), 0o644); err != nil {
		return nil, err
	}
	for name, text := range s.beside {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	var args []string
	for _, a := range s.args {
		args = append(args, fill(a))
	}
	return args, nil
}
