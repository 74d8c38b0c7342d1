//go:build linux

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/miekg/dns"
)

// Zones that other people's tools signed, by each algorithm and in each form that the tool knows, and some that are broken. All three name servers serve
// all of them. They are below org., which is signed.

// foreignAddrs are the addresses of the three.
var foreignAddrs = map[string]string{"nsd": "192.0.2.101", "named": "192.0.2.102", "knotd": "192.0.2.103"}

// foreign says how a zone of these is made.
type foreign struct {
	tool      string // ldns, bind, knot
	algorithm uint8
	nsec3     string // "": NSEC; else the parameters: "plain", "salted" or "optout"
	ill       string // "", expired, corrupt
}

func (f *foreign) name() string {
	name := fmt.Sprintf("%s-%d-nsec", f.tool, f.algorithm)
	if f.nsec3 != "" {
		name += "3-" + f.nsec3
	}
	if f.ill != "" {
		name += "-" + f.ill
	}
	return name + ".org."
}

// secure tells whether what is there should validate.
func (f *foreign) secure() bool { return f.ill == "" }

// foreigners lists all of them.
func foreigners() (all []foreign) {
	for _, tool := range []string{"ldns", "bind", "knot"} {
		for _, algorithm := range []uint8{dns.RSASHA256, dns.RSASHA512, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519, dns.ED448} {
			all = append(all, foreign{tool: tool, algorithm: algorithm}, foreign{tool: tool, algorithm: algorithm, nsec3: "plain"})
		}
		all = append(all, foreign{tool: tool, algorithm: dns.ECDSAP256SHA256, nsec3: "salted"}, foreign{tool: tool, algorithm: dns.ECDSAP256SHA256, nsec3: "optout"})
	}
	return append(all,
		foreign{tool: "ldns", algorithm: dns.ECDSAP256SHA256, ill: "expired"}, foreign{tool: "bind", algorithm: dns.RSASHA256, ill: "expired", nsec3: "plain"},
		foreign{tool: "bind", algorithm: dns.ECDSAP256SHA256, ill: "corrupt"}, foreign{tool: "knot", algorithm: dns.ED25519, ill: "corrupt"})
}

// foreignText is what each of them holds.
func foreignText(zone string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "$ORIGIN %s\n$TTL 3600\n@ SOA ns1 hostmaster 1 7200 3600 1209600 300\n", zone)
	n := 0
	for _, program := range []string{"nsd", "named", "knotd"} {
		n++
		fmt.Fprintf(&b, "@ NS ns%d\nns%d A %s\n", n, n, foreignAddrs[program])
	}
	b.WriteString(`@ A 198.51.100.1
@ MX 10 mail
www A 198.51.100.2
www AAAA 2001:db8::2
mail A 198.51.100.3
alias CNAME www
far CNAME www.signed.org.
*.w A 198.51.100.4
*.w TXT "from a wildcard"
*.c CNAME www
a.b.c.ent TXT "below empty non-terminals"
d DNAME signed.org.
unsigned NS ns1.unsigned
ns1.unsigned A 192.0.2.101
many A 198.51.100.11
many A 198.51.100.12
many A 198.51.100.13
odd TYPE65280 \# 4 01020304
caa CAA 0 issue "ca.example.net"
srv SRV 0 5 5060 www
https HTTPS 1 . alpn=h2
`)
	return b.String()
}

// addForeigners puts the zones and their three servers in front of the others of the world, as their DS records go into org.
func (w *world) addForeigners() error {
	var zones []*zone
	for _, f := range foreigners() {
		z := &zone{name: f.name(), foreign: &f}
		zones = append(zones, z)
		w.zones[z.name] = z
	}
	var servers []*server
	for _, program := range []string{"nsd", "named", "knotd"} {
		s := &server{name: "foreign-" + program, program: program, zones: zones}
		if err := w.listen(s, foreignAddrs[program]); err != nil {
			return err
		}
		servers = append(servers, s)
	}
	w.servers = append(servers, w.servers...)
	return nil
}

// makeForeign writes a zone, has its tool sign it, and tells its parent.
func (w *world) makeForeign(z *zone) error {
	f := z.foreign
	base := strings.TrimSuffix(z.name, ".")
	plain := filepath.Join(w.dir, base+".zone")
	if err := os.WriteFile(plain, []byte(foreignText(z.name)), 0o644); err != nil {
		return err
	}
	z.file = plain + ".signed"
	sign := map[string]func(*foreign, string, string, string) (string, error){"ldns": w.signByLDNS, "bind": w.signByBIND, "knot": w.signByKnot}[f.tool]
	ds, err := sign(f, base, plain, z.file)
	if err != nil {
		return err
	}
	if f.ill == "corrupt" {
		if err := corrupt(z.file, "www."+z.name); err != nil {
			return err
		}
	}
	parent := w.parent(z.name)
	for i, program := range []string{"nsd", "named", "knotd"} {
		parent.ds = append(parent.ds, fmt.Sprintf("%s 3600 IN NS ns%d.%s", z.name, i+1, z.name), fmt.Sprintf("ns%d.%s 3600 IN A %s", i+1, z.name, foreignAddrs[program]))
	}
	for line := range strings.Lines(ds) {
		if strings.Contains(line, " DS ") || strings.Contains(line, "\tDS\t") {
			parent.ds = append(parent.ds, strings.TrimSpace(line))
		}
	}
	return nil
}

// past are times of signatures that are over.
var past = []string{"20200101000000", "20200201000000"}

func (w *world) signByLDNS(f *foreign, base, plain, signed string) (string, error) {
	algorithm := dns.AlgorithmToString[f.algorithm]
	key, err := w.tool("ldns-keygen", "-k", "-a", algorithm, "-b", "2048", base)
	if err != nil {
		return "", err
	}
	args := []string{"-f", signed, "-o", base}
	if f.ill == "expired" {
		args = append(args, "-i", past[0], "-e", past[1])
	}
	switch f.nsec3 {
	case "":
	case "salted":
		args = append(args, "-n", "-t", "5", "-s", "ABCD")
	case "optout":
		args = append(args, "-n", "-t", "0", "-p")
	default:
		args = append(args, "-n", "-t", "0")
	}
	if _, err := w.tool("ldns-signzone", append(args, plain, key)...); err != nil {
		return "", err
	}
	return w.tool("ldns-key2ds", "-n", "-2", key+".key")
}

func (w *world) signByBIND(f *foreign, base, plain, signed string) (string, error) {
	args := []string{"-q", "-a", dns.AlgorithmToString[f.algorithm], "-f", "KSK"}
	if f.algorithm == dns.RSASHA256 || f.algorithm == dns.RSASHA512 {
		args = append(args, "-b", "2048")
	}
	key, err := w.tool("dnssec-keygen", append(args, base)...)
	if err != nil {
		return "", err
	}
	args = []string{"-S", "-z", "-o", base, "-f", signed}
	if f.ill == "expired" {
		args = append(args, "-P", "-s", past[0], "-e", past[1])
	}
	switch f.nsec3 {
	case "":
	case "salted":
		args = append(args, "-3", "ABCD", "-H", "5")
	case "optout":
		args = append(args, "-3", "-", "-H", "0", "-A")
	default:
		args = append(args, "-3", "-", "-H", "0")
	}
	if _, err := w.tool("dnssec-signzone", append(args, plain, key)...); err != nil {
		return "", err
	}
	return w.tool("ldns-key2ds", "-n", "-2", key+".key")
}

func (w *world) signByKnot(f *foreign, base, plain, signed string) (string, error) {
	dir := filepath.Join(w.dir, "knot-"+base)
	if err := os.MkdirAll(filepath.Join(dir, "out"), 0o755); err != nil {
		return "", err
	}
	nsec3 := "off"
	if f.nsec3 != "" {
		nsec3 = "on"
	}
	iterations, salt, optOut := 0, 0, "off"
	switch f.nsec3 {
	case "salted":
		iterations, salt = 5, 4
	case "optout":
		optOut = "on"
	}
	names := map[uint8]string{
		dns.RSASHA256: "rsasha256", dns.RSASHA512: "rsasha512", dns.ECDSAP256SHA256: "ecdsap256sha256", dns.ECDSAP384SHA384: "ecdsap384sha384",
		dns.ED25519: "ed25519", dns.ED448: "ed448",
	}
	size := ""
	if f.algorithm == dns.RSASHA256 || f.algorithm == dns.RSASHA512 {
		size = "    ksk-size: 2048\n    zsk-size: 2048\n"
	}
	conf := filepath.Join(dir, "conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, `server:
  rundir: %[1]q
database:
  storage: %[1]q
policy:
  - id: test
    algorithm: %[2]s
%[3]s    nsec3: %[4]s
    nsec3-iterations: %[5]d
    nsec3-salt-length: %[6]d
    nsec3-opt-out: %[7]s
zone:
  - domain: %[8]q
    file: %[9]q
    dnssec-signing: on
    dnssec-policy: test
`, dir, names[f.algorithm], size, nsec3, iterations, salt, optOut, base, plain), 0o644); err != nil {
		return "", err
	}
	if _, err := w.tool("kzonesign", "-c", conf, "-r", "-o", filepath.Join(dir, "out"), base); err != nil {
		return "", err
	}
	made, err := filepath.Glob(filepath.Join(dir, "out", "*"))
	if err != nil || len(made) != 1 {
		return "", fmt.Errorf("kzonesign left %q, %v", made, err)
	}
	if err := os.Rename(made[0], signed); err != nil {
		return "", err
	}
	ds, err := w.tool("keymgr", "-c", conf, base, "ds")
	return strings.ReplaceAll(ds, " DS ", " 3600 IN DS "), err
}

// corrupt changes the address of a name in a signed zone, so that its signature is wrong.
func corrupt(file, name string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	out := strings.Replace(string(text), "198.51.100.2", "198.51.100.99", 1)
	if out == string(text) {
		return fmt.Errorf("corrupting %q: %s has no address", file, name)
	}
	return os.WriteFile(file, []byte(out), 0o644)
}
