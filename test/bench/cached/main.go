//go:build linux

// Command cached measures what a cached answer costs, beside Debian's Unbound, dnsdist, PowerDNS Recursor, Knot Resolver and BIND: processor time,
// queries a second, latency and memory, and how hits do while misses come. One worker each on one processor, the load and NSD, which has
// the answers, on others; runs take turns over all servers.
//
//	go run ./test/bench/cached                                            the whole benchmark, about 30 minutes
//	go run ./test/bench/cached -rounds 1 -t 1s -only ananas,unbound,dnsdist   a first look
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/test/bench"
	"github.com/ananas-edge/ananas/test/bench/flood"
)

// options of the benchmark, beside those of the rig.
type options struct {
	rig    bench.Options
	rounds int
	long   time.Duration
	names  int
	seed   uint64
	only   words
	modes  words
	plain  bool
	hits   float64
	nice   int
	more   words
	spin   words
	two    words
	chart  string
	json   string
	check  bool
}

// words is a flag with several values: given several times, or separated by commas where no value has one.
type words []string

func (w *words) String() string     { return strings.Join(*w, ",") }
func (w *words) Set(s string) error { *w = append(*w, s); return nil }

func main() {
	var o options
	list := func(w *words) func(string) error {
		return func(s string) error {
			*w = append(*w, strings.Split(s, ",")...)
			return nil
		}
	}
	flag.IntVar(&o.rounds, "rounds", 5, "rounds: in each, every server is asked once in every way")
	flag.DurationVar(&o.long, "t", 3*time.Second, "length of a run")
	flag.IntVar(&o.names, "names", 100_000, "questions, all different, with answers in the cache")
	flag.Uint64Var(&o.seed, "seed", 1, "seed of names and records")
	flag.Func("only", "servers, separated by commas; empty: all", list(&o.only))
	flag.Func("modes", "ways to ask, separated by commas: mixed, one, plain, many, 20k, 100k, signed, misses; empty: all", list(&o.modes))
	flag.BoolVar(&o.plain, "plain", false, "the load generator never sends several questions as one message (UDP_SEGMENT)")
	flag.Float64Var(&o.hits, "hits", 10_000, "hits a second while misses come")
	flag.IntVar(&o.nice, "nice", -12, "niceness of servers and load, as sessions: below 0 before other work of the machine; 0: like all")
	flag.Var(&o.more, "set", "KEY=VALUE: a setting of all of ours; several times")
	flag.Var(&o.spin, "spin-set", "KEY=VALUE: a setting of ananas-spin, which is measured if there is one; several times")
	flag.Var(&o.two, "two-set", "KEY=VALUE: a setting of ananas-two; several times")
	flag.StringVar(&o.chart, "chart", "", "file for a chart (SVG)")
	flag.StringVar(&o.json, "json", "", "file for all figures")
	flag.BoolVar(&o.check, "check", false, "fail if what is needed is not met")
	o.rig.Flags(flag.CommandLine)
	flag.Parse()
	if err := o.prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
	bench.Run(o.rig, func(ctx context.Context, r *bench.Rig) error { return o.run(ctx, r) })
}

const hint = "./test/install-peers cached (as root on Debian), or leave servers out with -only"

// prepare checks the options and says what the rig needs.
func (o *options) prepare() error {
	all := append(servers(nil, []string{""}, nil), &server{name: ""})
	for _, name := range o.only {
		if !slices.ContainsFunc(all, func(s *server) bool { return s.name == name }) {
			return fmt.Errorf("reading -only: there is no server %q", name)
		}
	}
	for _, name := range o.modes {
		if name != missMode && !slices.ContainsFunc(modes(true), func(m *mode) bool { return m.name == name }) {
			return fmt.Errorf("reading -modes: there is no way to ask named %q", name)
		}
	}
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("reading arguments: %q is not expected", flag.Arg(0))
	case o.rounds < 1 || o.long < 100*time.Millisecond || o.long > time.Minute:
		return fmt.Errorf("%d rounds of %v: must be 1 or more, of 100 ms to 1 m", o.rounds, o.long)
	case o.names < 1000 || o.names > 1_000_000: // the addresses of the zones count to 2^20
		return fmt.Errorf("%d names: must be 1,000 to 1,000,000", o.names)
	case o.hits <= 0 || o.hits > 100_000:
		return fmt.Errorf("%v hits a second: must be up to 100,000", o.hits)
	}
	// Now, not after half an hour.
	for _, file := range []string{o.chart, o.json} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
	}
	// Debian keeps servers where only root looks.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		return err
	}
	cpus, err := usable()
	if err != nil {
		return err
	}
	p := allot(cpus, siblings)
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if !given["resolver-cpu"] {
		o.rig.ResolverCPU = p.Server
	}
	if !given["other-cpu"] {
		o.rig.OtherCPU = p.Load
	}
	if !given["quiet"] {
		o.rig.Quiet = 0.15 // of a run that is full load: less can't be told from it
	}
	o.rig.Hint = hint
	o.rig.Packages = []string{"./test/bench/asker"}
	o.rig.Programs = []string{"nsd"}
	for _, s := range servers(nil, nil, nil) {
		if o.measured(s) && len(s.args) > 0 {
			o.rig.Programs = append(o.rig.Programs, s.args[0])
		}
	}
	if o.measured(&server{name: "ananas-signed"}) || o.measured(&server{name: "unbound-signed"}) {
		o.rig.Programs = append(o.rig.Programs, "dnssec-keygen", "dnssec-signzone")
	}
	if o.rig.Unbound != "unbound" {
		return errors.New("reading -unbound: here it is always the one in the path")
	}
	return nil
}

func (o *options) measured(s *server) bool {
	return len(o.only) == 0 || slices.Contains(o.only, s.name)
}

const missMode = "misses"

func (o *options) withMisses() bool { return len(o.modes) == 0 || slices.Contains(o.modes, missMode) }

func (o *options) run(ctx context.Context, r *bench.Rig) error {
	cpus, err := usable()
	if err != nil {
		return err
	}
	b := &bout{options: o, ctx: ctx, rig: r, place: allot(cpus, siblings).told(r.ResolverCPU, r.OtherCPU), began: time.Now()}
	r.Say("%v", b.place)
	b.result = newResult(o, b.place)
	b.steps = o.count()
	for _, k := range []kind{manySizes, oneSize, signed} {
		if err := b.all(k); err != nil {
			return err
		}
	}
	b.result.judge()
	fmt.Print(b.result.text())
	if o.json != "" {
		if err := b.result.save(o.json); err != nil {
			return err
		}
	}
	if o.chart != "" {
		if err := os.WriteFile(o.chart, []byte(b.result.chart()), 0o644); err != nil {
			return err
		}
	}
	if missed := b.result.missed(); o.check && len(missed) > 0 {
		return fmt.Errorf("not met: %s", strings.Join(missed, "; "))
	}
	return nil
}

// kindServers are those that are measured with questions of a kind, and the ways to ask that they are.
func (o *options) kindServers(k kind) (some []*server, ways []*mode) {
	ways = chosen(modes(!o.plain), o.modes, k)
	for _, s := range servers(o.more, o.spin, o.two) {
		wanted := slices.ContainsFunc(ways, func(m *mode) bool { return s.asked(k, m) }) || k == oneSize && o.withMisses() && slices.Contains(missServers, s.name)
		if o.measured(s) && wanted {
			some = append(some, s)
		}
	}
	return some, ways
}

// count is how many steps there are to be, for the progress line.
func (o *options) count() (n int) {
	for _, k := range []kind{manySizes, oneSize, signed} {
		some, ways := o.kindServers(k)
		for _, s := range some {
			n += 2 // passes
			for _, m := range ways {
				if s.asked(k, m) {
					n += o.rounds
				}
			}
			if k == oneSize && o.withMisses() && slices.Contains(missServers, s.name) {
				n += 4 * o.rounds
			}
		}
		if len(some) > 0 {
			n += 2 // making the zone, looking at idle servers
		}
	}
	return n
}

// all measures everything with questions of one kind: it begins with servers that have nothing in their caches.
func (b *bout) all(k kind) error {
	some, ways := b.kindServers(k)
	if len(some) == 0 {
		return nil
	}
	b.step("making the zone")
	zone, err := newSet(k, b.seed, b.names)
	if err != nil {
		return err
	}
	file := filepath.Join(b.rig.Dir, "questions-"+string(k))
	if err := flood.WriteQuestions(file, append(slices.Clone(zone.questions), missQuestion())); err != nil {
		return err
	}
	if err := b.serve(zone); err != nil {
		return err
	}
	defer b.nsd.Stop(5 * time.Second)
	var running []*contestant
	defer func() {
		for _, c := range running {
			c.proc.Stop(5 * time.Second)
		}
	}()
	var fit []*contestant
	for i, s := range some {
		c, err := b.start(s, zone, i)
		if err != nil {
			return err
		}
		running = append(running, c)
		if c.dead != "" {
			b.result.Dead[c.name()] = c.dead
			continue
		}
		if err := b.fill(c, zone, file); err != nil {
			return err
		}
		fit = append(fit, c)
	}
	if err := b.idle(fit, k); err != nil {
		return err
	}
	for round := range b.rounds {
		for _, m := range ways {
			for _, c := range order(fit, round) {
				if !c.asked(k, m) {
					continue
				}
				b.step("%s: %s, round %d", c.name(), m.title, round+1)
				v, err := quiet(b, func() (run, float64, error) { return b.measure(c, m, zone, file, round) })
				if err != nil {
					return err
				}
				b.rig.Say("%s", &v)
				b.result.Runs = append(b.result.Runs, v)
			}
		}
	}
	if k != oneSize || !b.withMisses() {
		return nil
	}
	var both []*contestant
	for _, c := range fit {
		if slices.Contains(missServers, c.name()) {
			both = append(both, c)
		}
	}
	return b.missRounds(both, zone, file)
}

// serve starts NSD with the zones, the first of them signed if that is its kind.
func (b *bout) serve(zone *set) error {
	nsd := &server{name: "nsd", conf: map[string]string{"nsd.conf": "nsd.conf"}, args: []string{"nsd", "-d", "-c", "{dir}/nsd.conf"}}
	dir := filepath.Join(b.rig.Dir, "nsd-"+string(zone.kind))
	zones := []dns.Name{zone.zone, missZone}
	args, err := nsd.write(b.rig, dir, authority, zones, "")
	if err != nil {
		return err
	}
	for i, text := range []string{zone.text, missText} {
		file := filepath.Join(dir, strings.TrimSuffix(zones[i].String(), ".")+".zone")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if zone.kind == signed {
		if err := b.sign(dir, zone.zone); err != nil {
			return err
		}
	}
	// Not before others: it works for the servers' sake, when they have something to ask.
	if b.nsd, err = b.rig.StartCommand(bench.Command{Name: filepath.Base(dir), CPUs: []int{b.place.Authority}, Args: args, Nice: b.nice}); err != nil {
		return err
	}
	if err := b.awaitAuthority(zone.zone); err != nil {
		return err
	}
	b.nsds = b.nsd.Family()
	return nil
}
