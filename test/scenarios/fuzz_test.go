package scenarios

import (
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// hostile is the world of FuzzReplies: aliases, a DNAME, denials, a delegation without glue, records that only fit TCP, and signatures.
const hostile = `The servers of this world say anything at all.
-- world --
[defaults]
latency 20ms
fault cookies of=50%
[zone com servers=192.0.2.1]
[zone example.com servers=192.0.2.2,2001:db8::2]
www A 192.0.2.80
alias CNAME www
far CNAME www.example.org.
old DNAME new.example.com.
a.new A 192.0.2.81
$GENERATE 1-80 big AAAA 2001:db8::$
[zone org servers=192.0.2.3 sign=nsec3]
example NS ns.example.com.
[zone example.org servers=192.0.2.4 sign=none delegate=off]
www A 192.0.2.82
[server 192.0.2.4]
serves example.com
-- steps --
`

// FuzzReplies resolves in a world whose replies are changed on their way, as data says. Whatever they become, no resolution panics, each ends
// in its time, costs no more questions than it may, and what clients get is a well-formed answer to what they asked.
func FuzzReplies(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x00\x00\x00\x01\x05\x00\xff"))
	f.Add([]byte("\x02\x00\x06\x00\x09\x02\x00\x08\xff\xff"))
	f.Add([]byte("\x03\x00\x20\x00\x01\x00\x40\xc0\x01\x00\x41\x0c"))
	f.Add([]byte("\x04\x00\x00\x05\x00\x00\x06\x00\x00\x01\x00\x02\x87\x01\x00\x03\x83"))
	s, err := parse("hostile.scn", hostile)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		synctest.Test(t, func(t *testing.T) { hostileRun(t, s, data) })
	})
}

func hostileRun(t *testing.T, s *scenario, data []byte) {
	p := &play{t: t, s: s, folder: t.TempDir()}
	m := &mutations{data: data}
	if err := p.open(1, m.change); err != nil {
		t.Fatal(err)
	}
	defer p.close()
	var asks []*ask
	for _, q := range []string{"www.example.com A", "alias.example.com AAAA", "far.example.com A", "a.old.example.com A", "none.example.com A +do",
		"www.example.org DS +do", "big.example.com AAAA +tcp", "www.example.com ANY +tcp", "example.com DNSKEY +do"} {
		st := &step{file: s.file, verb: "ask", args: strings.Fields(q), want: []want{{0, "any", []string{"any"}}}}
		a, err := parseAsk(st)
		if err != nil {
			t.Fatal(err)
		}
		asks = append(asks, a)
	}
	table := p.server.Table()
	for _, a := range asks {
		r := p.client(a, 1)
		if r.msg == nil || len(r.odd) > 0 {
			t.Errorf("%s: %v\n%v", a.name, r.odd, r.msg)
		}
		if r.took > table.Limits.ClientTime {
			t.Errorf("%s took %v", a.name, r.took)
		}
	}
	time.Sleep(2 * table.Recursion.Limits.QueryTime) // jobs outlive their clients
	const priming = 20
	if n, most := p.lab.Stats().Questions, uint64(len(asks)*table.Recursion.Limits.UpstreamQuestions+priming); n > most {
		t.Errorf("%d questions were asked, more than %d", n, most)
	}
	p.checkEnd()
}

// mutations change replies, one after the other, by a program: an operation, a place and what that takes.
type mutations struct {
	mu   sync.Mutex
	data []byte
}

func (m *mutations) next() int {
	if len(m.data) == 0 {
		return 0
	}
	v := m.data[0]
	m.data = m.data[1:]
	return int(v)
}

func (m *mutations) change(reply []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := append([]byte(nil), reply...)
	for len(m.data) > 0 && len(out) > dns.HeaderLen {
		op, at := m.next(), m.next()<<8|m.next()
		// Most places are behind the question: what does not match it is thrown away before it is looked at.
		if op&0x80 == 0 {
			at += questionEnd(out)
		}
		at %= len(out)
		switch op & 0x0f {
		case 0:
			return out // this reply is done
		case 1:
			out[at] = byte(m.next())
		case 2:
			if at+1 < len(out) {
				binary.BigEndian.PutUint16(out[at:], uint16(m.next()<<8|m.next()))
			}
		case 3:
			out = out[:at]
		case 4:
			return nil
		case 5: // a copy of what stands there, once more
			end := min(len(out), at+m.next())
			out = append(out[:end:end], out[at:]...)
		case 6: // counts of sections
			binary.BigEndian.PutUint16(out[4+2*(at%4):], uint16(m.next()))
		case 7: // a pointer of compression
			if at+1 < len(out) {
				binary.BigEndian.PutUint16(out[at:], 0xc000|uint16(m.next()<<8|m.next()))
			}
		case 8: // flags
			binary.BigEndian.PutUint16(out[2:], binary.BigEndian.Uint16(out[2:])^uint16(m.next()<<8|m.next())&0x07ff)
		default:
			out[at] ^= 1 << (op & 7)
		}
	}
	return out
}

func questionEnd(msg []byte) int {
	if _, off, err := dns.UnpackName(msg, dns.HeaderLen); err == nil {
		return off + 4
	}
	return dns.HeaderLen
}

// TestRepliesChangedAtRandom is FuzzReplies with programs drawn from seeds, for runs without a fuzzer.
func TestRepliesChangedAtRandom(t *testing.T) {
	s, err := parse("hostile.scn", hostile)
	if err != nil {
		t.Fatal(err)
	}
	for n := range uint64(100) {
		g := rand.New(rand.NewPCG(*seed, n))
		program := make([]byte, g.IntN(600))
		for i := range program {
			if program[i] = byte(g.Uint32()); g.IntN(3) == 0 {
				program[i] &= 0x0f
			}
		}
		synctest.Test(t, func(t *testing.T) { hostileRun(t, s, program) })
		if t.Failed() {
			t.Fatalf("the seed was %d, the program number %d: %q", *seed, n, program)
		}
	}
}
