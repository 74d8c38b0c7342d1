package zone

import (
	"os"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/dns"
)

func name(s string) dns.Name { return dns.MustParseName(s) }

// load reads a file of testdata/zonemd, changed.
func load(t testing.TB, file, apex string, replace ...string) *Zone {
	t.Helper()
	z, err := tryLoad(t, file, apex, replace...)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func tryLoad(t testing.TB, file, apex string, replace ...string) (*Zone, error) {
	t.Helper()
	text, err := os.ReadFile("testdata/zonemd/" + file)
	if err != nil {
		t.Fatal(err)
	}
	changed := string(text)
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(changed, replace[i]) {
			t.Fatalf("%s does not hold %q", file, replace[i])
		}
		changed = strings.ReplaceAll(changed, replace[i], replace[i+1])
	}
	return Parse(changed, file, name(apex))
}

// The zones of RFC 8976 appendix A, as they are and with changes that must, or must not, show.
func TestDigest(t *testing.T) {
	const (
		right1 = "1 1 62e6cf51b02e54b9b5f967d547ce43136792901f9f88e637493daaf401c92c279dd10f0edb1c56f8080211f8480ee306"
		right2 = "1 2 08cfa1115c7b948c4163a901270395ea226a930cd2cbcf2fa9a5e6eb85f37c8a4e114d884e66f176eab121cb02db7d652e0cc4827e7a3204f166b47e5613fd27"
	)
	for _, c := range []struct {
		what, file, apex string
		replace          []string
		want             Digest
		why              string
	}{
		{"A.1", "a1-simple.zone", "example", nil, DigestRight, ""},
		{"A.2", "a2-complex.zone", "example", nil, DigestRight, ""},
		{"A.3", "a3-multiple.zone", "example", nil, DigestRight, ""},
		{"A.4", "a4-signed.zone", "uri.arpa", nil, DigestRight, ""},
		{"A.5", "a5-root-servers.zone", "root-servers.net", nil, DigestRight, ""},

		{"names in capitals", "a1-simple.zone", "EXAMPLE", []string{"ns1 ", "NS1 ", "example. ", "Example. "}, DigestRight, ""},
		{"an address", "a1-simple.zone", "example", []string{"203.0.113.63", "203.0.113.64"}, DigestWrong, "ZONEMD 2018031900 1 1 is wrong"},
		{"a TTL", "a1-simple.zone", "example", []string{"3600    IN  A ", "3601    IN  A "}, DigestWrong, "is wrong"},
		{"glue that was added", "a1-simple.zone", "example", []string{"ns2           3600", "ns3 A 192.0.2.1\nns2           3600"}, DigestWrong, "is wrong"},
		{"occluded data", "a2-complex.zone", "example", []string{"I'm occluded", "I am occluded"}, DigestWrong, "is wrong"},
		{"a digest that is not at the apex", "a2-complex.zone", "example", []string{"7765\n", "7766\n"}, DigestWrong, "is wrong"},
		{"data of another zone", "a2-complex.zone", "example", []string{"foo.test. ", "bar.test. "}, DigestRight, ""},
		{"a signature", "a4-signed.zone", "uri.arpa", []string{"ALIZD0", "BLIZD0"}, DigestWrong, "is wrong"},
		{"the signature of the digest", "a4-signed.zone", "uri.arpa", []string{"uri.arpa.         3600    IN      ZONEMD",
			"uri.arpa. 3600 IN RRSIG ZONEMD 8 2 3600 20181028142623 20181007205525 47155 uri.arpa. eEC4\nuri.arpa.         3600    IN      ZONEMD"}, DigestRight, ""},

		{"none", "a1-simple.zone", "example", []string{"86400   IN  ZONEMD", "86400 IN TYPE65280 \\# 0 ; "}, DigestNone, "there is no ZONEMD record"},
		{"another serial", "a1-simple.zone", "example", []string{"ZONEMD  2018031900", "ZONEMD 2018031899"}, DigestWrong, "ZONEMD 2018031899 1 1 is of another serial"},
		{"SHA-384 alone", "a3-multiple.zone", "example", []string{right2, "1 2 00"}, DigestRight, ""},
		{"SHA-512 alone", "a3-multiple.zone", "example", []string{"1 1 62", "1 1 63"}, DigestRight, ""},
		{"both wrong", "a3-multiple.zone", "example", []string{"1 1 62", "1 1 63", "1 2 08", "1 2 09"}, DigestWrong,
			"ZONEMD 2018031900 1 1 is wrong, ZONEMD 2018031900 1 2 is wrong, ZONEMD 2018031900 1 240 is not supported, ZONEMD 2018031900 241 1 is not supported"},
		{"only what is not supported", "a3-multiple.zone", "example", []string{right1, "1 242 00112233445566778899aabb", right2, "1 243 00112233445566778899aabb"}, DigestUnsupported,
			"ZONEMD 2018031900 1 240 is not supported"},
		{"the same algorithm twice, one right", "a1-simple.zone", "example", []string{"ns1           3600",
			"@ 86400 IN ZONEMD 2018031900 1 1 " + strings.Repeat("00", 48) + "\nns1           3600"}, DigestWrong, "is there twice"},
		{"the same record twice", "a1-simple.zone", "example", []string{"ns1           3600",
			"@ 86400 IN ZONEMD 2018031900 1 1 c68090d90a7aed716bc459f9340e3d7c1370d4d24b7e2fc3a1ddc0b9a87153b9a9713b3c9ae5cc27777f98b8e730044c\nns1           3600"}, DigestRight, ""},
		{"too short", "a1-simple.zone", "example", []string{"8e730044c", "8e73004"}, DigestWrong, "is malformed"},
	} {
		t.Run(c.what, func(t *testing.T) {
			z := load(t, c.file, c.apex, c.replace...)
			got, why := z.Digest()
			if got != c.want || !strings.Contains(why, c.why) {
				t.Errorf("%v (%s), want %v (%s)", got, why, c.want, c.why)
			}
		})
	}
}
