//go:build linux

package bench

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

//go:embed unbound.conf
var unboundConf string

//go:embed ananas.yaml
var ananasYAML string

// Contender is a resolver that is measured.
type Contender struct {
	Name  string
	start func(r *Rig, dir string) (*Process, error)
	admin string // where it tells its metrics; "" for nowhere
}

// Contenders are ours and theirs, in this order.
func Contenders() []Contender {
	return []Contender{
		{"ananas", startAnanas, "127.0.0.1:8053"},
		{"unbound", startUnbound, ""},
	}
}

// Recursor is PowerDNS Recursor, which only the comparison of answers runs.
func Recursor() Contender { return Contender{"recursor", startRecursor, ""} }

//go:embed recursor.conf
var recursorConf string

func startRecursor(r *Rig, dir string) (*Process, error) {
	if err := os.WriteFile(filepath.Join(dir, "recursor.conf"), []byte(r.expand(recursorConf, dir)), 0o644); err != nil {
		return nil, err
	}
	anchors, err := os.ReadFile(r.anchorsFile())
	if err != nil {
		return nil, err
	}
	var lua strings.Builder
	lua.WriteString("clearTA('.')\n")
	for line := range strings.Lines(string(anchors)) {
		if _, ds, ok := strings.Cut(line, "DS"); ok {
			fmt.Fprintf(&lua, "addTA('.', %q)\n", strings.TrimSpace(ds))
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "anchors.lua"), []byte(lua.String()), 0o644); err != nil {
		return nil, err
	}
	return r.start(filepath.Base(dir), r.ResolverCPU, nil, "pdns_recursor", "--config-dir="+dir)
}

// Address is where each resolver answers.
var Address = netip.MustParseAddrPort("127.0.0.1:5335")

func startAnanas(r *Rig, dir string) (*Process, error) {
	program := r.Ananas
	if program == "" {
		program = filepath.Join(r.Dir, "ananas")
	}
	file := filepath.Join(dir, "ananas.yaml")
	anchors := "none"
	if r.Validate {
		anchors = r.anchorsFile()
	}
	if err := os.WriteFile(file, []byte(r.expand(ananasYAML, dir, "{anchors}", anchors)), 0o644); err != nil {
		return nil, err
	}
	return r.start(filepath.Base(dir), r.ResolverCPU, []string{"GOMAXPROCS=1"}, program, "serve", "--config", file)
}

func startUnbound(r *Rig, dir string) (*Process, error) {
	file := filepath.Join(dir, "unbound.conf")
	modules, anchors := "iterator", ""
	var env []string
	if r.Validate {
		modules, anchors = "validator iterator", fmt.Sprintf("trust-anchor-file: %q", r.anchorsFile())
	}
	if r.Signatures {
		env = []string{"LD_PRELOAD=" + r.counter(), "SIGNATURES=" + filepath.Join(dir, signaturesFile)}
	}
	if err := os.WriteFile(file, []byte(r.expand(unboundConf, dir, "{modules}", modules, "{anchors}", anchors)), 0o644); err != nil {
		return nil, err
	}
	return r.start(filepath.Base(dir), r.ResolverCPU, env, r.Unbound, "-d", "-c", file)
}

// expand fills in the places in a configuration that are only known now.
func (r *Rig) expand(text, dir string, more ...string) string {
	return strings.NewReplacer(append(more, "{dir}", dir, "{hints}", r.hintsFile(), "{address}", Address.Addr().String(),
		"{port}", fmt.Sprint(Address.Port()))...).Replace(text)
}

func (r *Rig) hintsFile() string   { return filepath.Join(r.Dir, "root.hints") }
func (r *Rig) anchorsFile() string { return filepath.Join(r.Dir, "root.anchors") }

// Resolver is a contender that runs.
type Resolver struct {
	*Process
	Contender
	StartUp time.Duration // until the first answer
	dir     string
}

// startLimit is how long a resolver may take to answer first: both take a fraction of a second on an idle machine.
const startLimit = 20 * time.Second

// Start runs a fresh resolver with an empty cache and waits until it answers. The name is of its folder and log.
func (r *Rig) Start(c Contender, name string) (*Resolver, error) {
	dir := filepath.Join(r.Dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	began := time.Now()
	p, err := c.start(r, dir)
	if err != nil {
		return nil, err
	}
	v := &Resolver{Process: p, Contender: c, dir: dir}
	for time.Since(began) < startLimit {
		if p.Ended() {
			break
		}
		if answersVersion() {
			v.StartUp = time.Since(began)
			return v, nil
		}
		if err := r.Sleep(5 * time.Millisecond); err != nil {
			return nil, err
		}
	}
	p.Stop(0)
	return nil, fmt.Errorf("starting %s: no answer within %v; it said: %s", name, startLimit, p.LastWords())
}

// answersVersion asks version.bind CH TXT, which costs a resolver no question of its own. Any answer will do.
func answersVersion() bool {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(Address))
	if err != nil {
		return false
	}
	defer c.Close()
	q := dns.Question{Name: dns.MustParseName("version.bind"), Type: dns.TypeTXT, Class: dns.ClassCHAOS}
	if err := c.SetDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		return false
	}
	if _, err := c.Write(dns.AppendQuestion(nil, 1, dns.FlagRD, q, 0, false, nil)); err != nil {
		return false
	}
	n, err := c.Read(make([]byte, 512))
	return err == nil && n >= dns.HeaderLen
}

const maxPage = 64 << 20 // octets that are read of the resolver's pages: a profile of minutes

// Dir is the folder of the resolver's configuration, and of what it leaves.
func (v *Resolver) Dir() string { return v.dir }

// Metrics saves the resolver's metrics in its folder, if it has any.
func (v *Resolver) Metrics(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return v.save(ctx, "/metrics", "metrics.txt")
}

// Profile saves where the resolver spends its processor time for so long, if it tells.
func (v *Resolver) Profile(ctx context.Context, long time.Duration) error {
	return v.save(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", max(1, int(long.Seconds()))), "cpu.pprof")
}

func (v *Resolver) save(ctx context.Context, path, file string) error {
	if v.admin == "" {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+v.admin+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("asking %s for %s: %w", v.Process.Name, path, err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil {
		return fmt.Errorf("reading %s of %s: %w", path, v.Process.Name, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("asking %s for %s: %s", v.Process.Name, path, resp.Status)
	}
	return os.WriteFile(filepath.Join(v.dir, file), page, 0o644)
}
