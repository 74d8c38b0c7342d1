//go:build linux

package interop

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// world is an internet of real name servers in this network namespace.
type world struct {
	dir     string // everything that it writes
	root    rootZone
	servers []*server
	zones   map[string]*zone
	silent  net.PacketConn // the name server that never answers
	anchor  string         // DS of the root zone, presentation form
}

// server is one process.
type server struct {
	name    string
	program string // nsd, named, knotd
	listen  []netip.AddrPort
	zones   []*zone
	process *process

	transfers bool   // gives its zones away
	dnstap    string // of named: the file into which it writes what it is asked
}

// zone is one zone as it is served.
type zone struct {
	name string // presentation form, with the final dot
	how  string // "", nsec, nsec3
	file string // what the server reads

	foreign *foreign // made by makeForeign; nil: of testdata
	ds      []string
}

// clients are addresses that tests ask from, besides loopback.
var clients = []string{"203.0.113.77", "198.51.100.7", "2001:db8::77"}

// silentServer takes questions and never answers; zones/net.zone names it.
const silentServer = "93.123.45.7:53"

// startWorld makes the network and starts all servers. The world is returned on error too, to be stopped.
func startWorld(dir string) (*world, error) {
	w := &world{dir: dir, zones: make(map[string]*zone)}
	var err error
	if w.root, err = readRootZone("../../lab/data"); err != nil {
		return w, err
	}
	if err := w.read("testdata/world.txt"); err != nil {
		return w, err
	}
	if err := w.addForeigners(); err != nil {
		return w, err
	}
	for _, s := range w.servers {
		for _, z := range s.zones {
			make := w.writeZone
			if z.foreign != nil {
				make = w.makeForeign
			}
			if z.file != "" {
				continue // several servers have it
			}
			if err := make(z); err != nil {
				return w, fmt.Errorf("making zone %q: %w", z.name, err)
			}
		}
	}
	addrs := []netip.Addr{netip.MustParseAddrPort(silentServer).Addr()}
	for _, s := range w.servers {
		for _, a := range s.listen {
			addrs = append(addrs, a.Addr())
		}
	}
	for _, a := range append(append(clients, forwarderAddr, mirrorAddr, tapAddr), transferAddrs...) {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	if err := makeNetwork(addrs); err != nil {
		return w, err
	}
	if w.silent, err = net.ListenPacket("udp", silentServer); err != nil {
		return w, err
	}
	for _, s := range w.servers {
		if err := w.startServer(s); err != nil {
			return w, err
		}
	}
	for _, s := range w.servers {
		if err := s.waitReady(20 * time.Second); err != nil {
			return w, err
		}
	}
	return w, nil
}

// stop ends all servers.
func (w *world) stop() error {
	var errs []error
	for _, s := range w.servers {
		if s.process != nil {
			errs = append(errs, s.process.stop())
		}
	}
	if w.silent != nil {
		w.silent.Close()
	}
	return errors.Join(errs...)
}

// read reads world.txt.
func (w *world) read(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var s *server
	for n, line := range strings.Split(string(b), "\n") {
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || strings.HasPrefix(f[0], "#"):
		case f[0] == "server" && len(f) == 3:
			s = &server{name: f[1], program: f[2]}
			w.servers = append(w.servers, s)
		case f[0] == "listen" && s != nil:
			for _, a := range f[1:] {
				if err := w.listen(s, a); err != nil {
					return fmt.Errorf("%s:%d: %w", path, n+1, err)
				}
			}
		case f[0] == "zone" && s != nil && len(f) >= 2:
			z := &zone{name: dns.Fqdn(f[1])}
			if len(f) > 2 {
				z.how = f[2]
			}
			s.zones = append(s.zones, z)
			w.zones[z.name] = z
		default:
			return fmt.Errorf("%s:%d: %q: not server NAME PROGRAM, listen ADDRESS... or zone ZONE [HOW]", path, n+1, line)
		}
	}
	return nil
}

func (w *world) listen(s *server, a string) error {
	if zone, ok := strings.CutPrefix(a, "@"); ok {
		for _, ns := range w.root.servers[dns.Fqdn(zone)] {
			for _, ip := range w.root.addresses[ns] {
				s.addListen(netip.AddrPortFrom(ip, 53))
			}
		}
		return nil
	}
	if ap, err := netip.ParseAddrPort(a); err == nil {
		s.addListen(ap)
		return nil
	}
	ip, err := netip.ParseAddr(a)
	s.addListen(netip.AddrPortFrom(ip, 53))
	return err
}

// addListen adds an address once: several zones may share it.
func (s *server) addListen(a netip.AddrPort) {
	for _, have := range s.listen {
		if have == a {
			return
		}
	}
	s.listen = append(s.listen, a)
}

// waitReady waits until the server answers for all of its zones.
func (s *server) waitReady(limit time.Duration) error {
	client := dns.Client{Timeout: 200 * time.Millisecond}
	deadline := time.Now().Add(limit)
	for _, z := range s.zones {
		m := new(dns.Msg).SetQuestion(z.name, dns.TypeSOA)
		for {
			r, _, err := client.Exchange(m, s.listen[len(s.listen)-1].String())
			if err == nil && r.Rcode == dns.RcodeSuccess && r.Authoritative {
				break
			}
			if code, err := s.process.wait(10 * time.Millisecond); err == nil {
				return fmt.Errorf("%s %q ended with exit code %d:\n%s", s.program, s.name, code, s.process.tail())
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("%s %q does not serve %q after %v: %v\n%s", s.program, s.name, z.name, limit, err, s.process.tail())
			}
		}
	}
	return nil
}

// rootZone is what the real root zone says of the top-level domains. Names end in a dot.
type rootZone struct {
	servers   map[string][]string     // zone to names of its servers; "." are the root's own
	addresses map[string][]netip.Addr // of servers
}

// readRootZone reads lab/data: the delegations of the real root zone, and the root hints.
func readRootZone(dir string) (rootZone, error) {
	r := rootZone{servers: make(map[string][]string), addresses: make(map[string][]netip.Addr)}
	hints, err := os.Open(filepath.Join(dir, "named.root"))
	if err != nil {
		return r, err
	}
	defer hints.Close()
	p := dns.NewZoneParser(hints, ".", "named.root")
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		owner := strings.ToLower(rr.Header().Name)
		switch rr := rr.(type) {
		case *dns.NS:
			r.servers[owner] = append(r.servers[owner], strings.ToLower(rr.Ns))
		case *dns.A:
			r.add(owner, rr.A.String())
		case *dns.AAAA:
			r.add(owner, rr.AAAA.String())
		}
	}
	if err := p.Err(); err != nil {
		return r, err
	}
	f, err := os.Open(filepath.Join(dir, "tlds.txt.gz"))
	if err != nil {
		return r, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return r, err
	}
	lines := bufio.NewScanner(z)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 3 {
			continue
		}
		name := f[1] + "."
		if f[0] == "tld" {
			for _, ns := range f[2:] {
				r.servers[name] = append(r.servers[name], ns+".")
			}
			continue
		}
		if r.addresses[name] != nil {
			continue // the hints are younger
		}
		for _, a := range f[2:] {
			r.add(name, a)
		}
	}
	return r, lines.Err()
}

func (r *rootZone) add(name, addr string) {
	if a, err := netip.ParseAddr(addr); err == nil {
		r.addresses[name] = append(r.addresses[name], a)
	}
}

// writeZone writes the file of a zone: what testdata has, what the root zone says of it, and the DS of signed zones below it.
func (w *world) writeZone(z *zone) error {
	var b strings.Builder
	if z.name == "." {
		fmt.Fprintln(&b, ". 86400 IN SOA a.root-servers.net. nstld.verisign-grs.com. 2026010100 1800 900 604800 86400")
		for zone, servers := range w.root.servers {
			for _, ns := range servers {
				fmt.Fprintf(&b, "%s 172800 IN NS %s\n", zone, ns)
			}
		}
		for name := range w.root.addresses {
			w.root.writeAddresses(&b, name)
		}
	} else {
		text, err := os.ReadFile(filepath.Join("testdata/zones", strings.TrimSuffix(z.name, ".")+".zone"))
		if err != nil {
			return err
		}
		b.Write(text)
		w.writeApex(&b, z.name)
	}
	for _, ds := range z.ds {
		fmt.Fprintln(&b, ds)
	}
	z.file = filepath.Join(w.dir, strings.ReplaceAll(strings.TrimSuffix(z.name, "."), "/", "_")+".zone")
	if err := os.WriteFile(z.file, []byte(b.String()), 0o644); err != nil {
		return err
	}
	if z.how == "" {
		return nil
	}
	ds, err := w.sign(z)
	if err != nil {
		return err
	}
	if z.name == "." {
		w.anchor = ds
		return nil
	}
	parent := w.parent(z.name)
	if parent == nil || parent.file != "" {
		return fmt.Errorf("its parent must be listed below it in world.txt")
	}
	parent.ds = append(parent.ds, ds)
	return nil
}

// writeApex gives a top-level domain, and the zone of the root's servers, the name servers that the root zone names.
func (w *world) writeApex(b *strings.Builder, zone string) {
	of := zone
	if zone == "root-servers.net." {
		of = "."
	} else if zone == "arpa." {
		return // has them written out
	}
	for _, ns := range w.root.servers[of] {
		fmt.Fprintf(b, "%s 172800 IN NS %s\n", zone, ns)
		if dns.IsSubDomain(zone, ns) {
			w.root.writeAddresses(b, ns)
		}
	}
}

func (r *rootZone) writeAddresses(b *strings.Builder, name string) {
	for _, a := range r.addresses[name] {
		kind := "A"
		if a.Is6() {
			kind = "AAAA"
		}
		fmt.Fprintf(b, "%s 172800 IN %s %v\n", name, kind, a)
	}
}

// parent is the zone above a zone.
func (w *world) parent(name string) *zone {
	for name != "." {
		i, end := dns.NextLabel(name, 0)
		if name = name[i:]; end {
			name = "."
		}
		if z := w.zones[name]; z != nil {
			return z
		}
	}
	return nil
}

// sign signs a zone with a new key and returns its DS.
func (w *world) sign(z *zone) (ds string, err error) {
	signed := z.file + ".signed"
	var key string
	switch z.how {
	case "nsec":
		if key, err = w.tool("ldns-keygen", "-k", "-a", "ECDSAP256SHA256", z.name); err != nil {
			return "", err
		}
		args := []string{"-f", signed, "-o", z.name, z.file, key}
		if z.name == "." { // has a digest, as the real one
			args = append([]string{"-z", "sha384"}, args...)
		}
		_, err = w.tool("ldns-signzone", args...)
	case "nsec3":
		if key, err = w.tool("dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", z.name); err != nil {
			return "", err
		}
		_, err = w.tool("dnssec-signzone", "-S", "-z", "-3", "-", "-o", z.name, "-f", signed, z.file, key)
	default:
		return "", fmt.Errorf("signing it by %q: neither nsec nor nsec3", z.how)
	}
	if err != nil {
		return "", err
	}
	z.file = signed
	return w.tool("ldns-key2ds", "-n", "-2", key+".key")
}

// tool runs a program to its end in the world's folder and returns what it printed.
func (w *world) tool(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = w.dir
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s%s", err, exit.Stderr, out)
		}
		return "", fmt.Errorf("running %q: %w", cmd.Args, err)
	}
	return strings.TrimSpace(string(out)), nil
}
