package dnssec

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// The files in testdata/denial say what records do and do not prove; their first lines explain how they are written.
func TestDenial(t *testing.T) {
	for _, file := range []string{"nsec", "nsec3"} {
		text, err := os.ReadFile("testdata/denial/" + file + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		zone, asked := dns.Name{}, 0
		for paragraph := range strings.SplitSeq(string(text), "\n\n") {
			var about string
			var sets []dns.RRset
			var checked []Result
			var questions []string
			for line := range strings.Lines(paragraph) {
				line = strings.TrimSpace(line)
				words := strings.Fields(line)
				switch {
				case line == "":
				case words[0] == "#":
					about += line + "\n"
				case words[0] == "zone":
					zone = name(words[1])
				case strings.Contains(line, " = "):
					questions = append(questions, line)
				default:
					record, note, _ := strings.Cut(line, " ; ")
					sets = append(sets, record3(t, zone, record))
					checked = append(checked, noted(zone, note))
				}
			}
			asked += len(questions)
			for _, q := range questions {
				t.Run(file, func(t *testing.T) {
					w := work(t)
					d := NewDenial(zone)
					for i := range sets {
						_ = d.Add(&sets[i], checked[i], w) // what is ignored shows in the answers
					}
					r := answer(t, d, q, w)
					if !r.Zone.Equal(zone) || r.Security == cache.Bogus && r.TTL != 0 || r.Security != cache.Bogus && (r.TTL != 300 || !r.Until.Equal(at)) {
						t.Errorf("%+v", r)
					}
					if t.Failed() {
						t.Logf("in\n%s", about)
					}
				})
			}
		}
		if asked < 60 {
			t.Errorf("%s: %d questions", file, asked)
		}
	}
}

// noted is what CheckSet would have said of a record.
func noted(zone dns.Name, note string) Result {
	r := Result{Security: cache.Secure, Zone: zone, TTL: 300, Until: at}
	switch what, n, _ := strings.Cut(note, " "); what {
	case "by":
		r.Zone = name(n)
	case "expanded":
		r.Wildcard = name(n)
	}
	return r
}

// record3 reads a record of the test files. The hashes of its own records are computed by miekg/dns.
func record3(t testing.TB, zone dns.Name, line string) dns.RRset {
	t.Helper()
	words := strings.Fields(line)
	if words[0] != "match" && words[0] != "cover" && words[0] != "span" {
		n, rest, _ := strings.Cut(line, " ")
		return rrset(t, n+" 300 IN "+rest)
	}
	p := params{algorithm: 1}
	names := []dns.Name{name(words[1])}
	var types []string
	for i, w := range words[2:] {
		key, value, _ := strings.Cut(w, "=")
		number, _ := strconv.ParseUint(value, 10, 16)
		switch {
		case words[0] == "span" && i == 0:
			names = append(names, name(w))
		case w == "optout":
			p.flags = 1
		case key == "flags":
			p.flags = byte(number)
		case key == "algorithm":
			p.algorithm = byte(number)
		case key == "iterations":
			p.iterations = uint16(number)
		case key == "salt":
			p.salt, _ = hex.DecodeString(value)
		default:
			types = append(types, w)
		}
	}
	from := p.hash(names[0])
	to := step(from, 1)
	switch words[0] {
	case "cover":
		from = step(from, -1)
	case "span":
		to = p.hash(names[1])
	}
	return p.record(zone, from, to, bitmap(t, types...))
}

// params are those of an NSEC3 chain.
type params struct {
	algorithm, flags byte
	iterations       uint16
	salt             []byte
}

func (p params) hash(n dns.Name) (h hashed) {
	s, _, err := miekg.UnpackDomainName([]byte(n.Wire()), 0)
	if err != nil {
		panic(err)
	}
	b, err := base32Hex.DecodeString(strings.ToUpper(miekg.HashName(s, miekg.SHA1, p.iterations, hex.EncodeToString(p.salt))))
	if err != nil {
		panic(err)
	}
	return hashed(b)
}

// record is the NSEC3 set from one hash to another.
func (p params) record(zone dns.Name, from, to hashed, types dns.TypeBitmap) dns.RRset {
	owner, err := zone.Child(strings.ToLower(from.String()))
	if err != nil {
		panic(err)
	}
	b := binary.BigEndian.AppendUint16([]byte{p.algorithm, p.flags}, p.iterations)
	b = append(append(b, byte(len(p.salt))), p.salt...)
	b = append(append(b, byte(len(to))), to[:]...)
	return dns.RRset{Name: owner, Type: dns.TypeNSEC3, Class: dns.ClassINET, TTL: 300, Data: dns.Records{}.Append(append(b, types...))}
}

// step adds to a hash, around the end.
func step(h hashed, by int) hashed {
	for i := len(h) - 1; i >= 0; i-- {
		v := int(h[i]) + by
		h[i] = byte(v)
		if v >= 0 && v <= 255 {
			break
		}
	}
	return h
}

// bitmap is that of an NSEC record with these types.
func bitmap(t testing.TB, types ...string) dns.TypeBitmap {
	t.Helper()
	if len(types) == 0 {
		return nil
	}
	data := rrset(t, ". 0 IN NSEC . "+strings.Join(types, " ")).Data.First()
	return dns.TypeBitmap(bytes.Clone(data[1:]))
}
