package zone

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// unsigned is a root zone for others to sign.
const unsigned = `. 86400 IN SOA ns1.example. hostmaster.example. 2026010100 1800 900 604800 86400
. 518400 IN NS ns1.example.
example. 172800 IN NS ns1.example.
example. 86400 IN DS 703 13 2 e661bdf92183bee06956ab486889f559e952628a88aafb4805a9cf1105426b58
NS1.Example. 172800 IN A 192.0.2.1
ns1.example. 172800 IN AAAA 2001:db8::1
plain. 172800 IN NS ns.plain.
ns.plain. 172800 IN A 192.0.2.2
strange. 300 IN TYPE65280 \# 3 010203
txt. 300 IN TXT "one" "two"
`

// TestPeers verifies zones that others have signed and digested: ldns (SHA-384 and SHA-512) and Knot DNS.
func TestPeers(t *testing.T) {
	for _, c := range []struct {
		program, debian string
		sign            func(t *testing.T, dir string) (file, anchors string)
	}{
		{"ldns-signzone", "ldnsutils", signByLDNS},
		{"kzonesign", "knot-dnssecutils", signByKnot},
	} {
		t.Run(c.program, func(t *testing.T) {
			if _, err := exec.LookPath(c.program); err != nil {
				t.Skipf("zones signed by %s (apt-get install %s)", c.program, c.debian)
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "root.zone"), []byte(unsigned), 0o600); err != nil {
				t.Fatal(err)
			}
			file, anchors := c.sign(t, dir)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			z, err := Parse(string(text), file, dns.Root)
			if err != nil {
				t.Fatal(err)
			}
			p := Policy{Table: table(t, anchors), At: time.Now(), ZONEMD: recurse.ZONEMDRequired}
			if v, err := z.Verify(p); err != nil || !v.Signed || v.Digest != DigestRight {
				t.Errorf("%+v, %v", v, err)
			}
			z, err = Parse(strings.Replace(string(text), "192.0.2.2", "192.0.2.66", 1), file, dns.Root)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := z.Verify(p); err == nil || !strings.Contains(err.Error(), "its digest does not fit") {
				t.Errorf("changed glue: %v", err)
			}
		})
	}
}

func command(t *testing.T, dir string, argv ...string) string {
	t.Helper()
	c := exec.Command(argv[0], argv[1:]...)
	c.Dir = dir
	out, err := c.Output()
	if err != nil {
		if e, ok := err.(*exec.ExitError); ok {
			out = append(out, e.Stderr...)
		}
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	return strings.TrimSpace(string(out))
}

func signByLDNS(t *testing.T, dir string) (file, anchors string) {
	key := command(t, dir, "ldns-keygen", "-k", "-a", "ECDSAP256SHA256", ".")
	command(t, dir, "ldns-signzone", "-z", "sha384", "-z", "sha512", "-o", ".", "-f", "signed", "root.zone", key)
	ds, err := os.ReadFile(filepath.Join(dir, key+".ds"))
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "signed"), string(ds)
}

func signByKnot(t *testing.T, dir string) (file, anchors string) {
	conf := `database:
  storage: "` + dir + `"
policy:
  - id: p
    algorithm: ecdsap256sha256
    single-type-signing: on
zone:
  - domain: .
    storage: "` + dir + `"
    file: root.zone
    dnssec-signing: on
    dnssec-policy: p
    zonemd-generate: zonemd-sha512
`
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, dir, "kzonesign", "-c", "conf", "-o", "out", ".")
	file = filepath.Join(dir, "out", "root.zone")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	z, err := Parse(string(text), file, dns.Root)
	if err != nil {
		t.Fatal(err)
	}
	keys, _ := z.Set(dns.Root, dns.TypeDNSKEY)
	return file, keys.String()
}
