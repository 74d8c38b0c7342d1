package nameserver

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/listen"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// Images are finished answers: what finish writes between the question and the OPT record, kept in the cache. Serve makes one when an answer came
// from the cache alone, so of names that were asked for twice; ServeBatch answers from it until it expires, a purge happens, something else is stored of
// its name, or the settings that it depends on change.

// additionalLife is how long an image of an answer with an additional section is good for. What belongs there is gathered from what the cache happens to have,
// which a moment later may be more.
const additionalLife = 10 * time.Second

// maxGenerations is how many fingerprints are remembered, so that settings which come back find their images again: an operator who goes back and forth between two
// versions, and those under way.
const maxGenerations = 16

// generations gives numbers to what images depend on beside their question: the fingerprint of the settings, which of their modules were taken out, and the purges so far. A purge takes out the name's own images,
// but those of aliases to it would stay.
type generations struct {
	last atomic.Pointer[generation]

	mu     sync.Mutex
	known  []generation // of the current epoch, the latest last
	number uint32
}

type generation struct {
	table  *Table
	print  string
	state  uint64 // of modules
	epoch  uint64
	number uint32
}

// of returns the number for a table and a purge epoch.
func (g *generations) of(t *Table, epoch uint64) uint32 {
	state := t.Plugins.State()
	if last := g.last.Load(); last != nil && last.table == t && last.epoch == epoch && last.state == state {
		return last.number
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.known); n > 0 && g.known[n-1].epoch < epoch {
		g.known = g.known[:0]
	} else if n > 0 && g.known[n-1].epoch > epoch { // it was asked before a purge: nothing of then is kept, and this is nobody's number
		g.number++
		return g.number
	}
	now := generation{table: t, print: t.answers, state: state, epoch: epoch}
	for i, k := range g.known {
		if k.print == now.print && k.state == state && k.epoch == epoch {
			now.number = k.number
			g.known = append(g.known[:i], g.known[i+1:]...)
			break
		}
	}
	if now.number == 0 {
		g.number++
		now.number = g.number
	}
	if len(g.known) == maxGenerations {
		g.known = append(g.known[:0], g.known[1:]...)
	}
	g.known = append(g.known, now)
	g.last.Store(&now)
	return now.number
}

// variantOf returns what of the client's wishes changes the records of the answer.
func variantOf(do, cd bool) (v cache.Variant) {
	if do {
		v |= cache.VariantDO
	}
	if cd {
		v |= cache.VariantCD
	}
	return v
}

// keep keeps an answer as an image, if it will do for others too: one in which CO made a difference will not. generation, epoch and mark are of the time before it was looked for.
func (s *Server) keep(q *query, a *recurse.Answer, generation uint32, epoch uint64, mark uint32) {
	until := a.Until
	// Over TCP nobody looks for images, so one would be made for each answer, in vain.
	if q.Transport != listen.UDP || a.Asked || a.Stale || a.Local || a.Truncated || a.RCode != dns.RCodeSuccess && a.RCode != dns.RCodeNameError ||
		q.Flags&dns.FlagRD == 0 || a.Compact && q.EDNS.CO || q.Type.IsMeta() || q.Type == dns.TypeRRSIG {
		return
	}
	now := s.clock.Boot()
	switch q.Type {
	case dns.TypeHTTPS, dns.TypeSVCB, dns.TypeSRV, dns.TypeMX:
		if len(a.Answer) > 0 {
			until = min(until, now+additionalLife)
		}
	}
	if until <= now || s.cache.Epoch() != epoch || s.generations.of(q.table, epoch) != generation { // a module was taken out meanwhile, and what it would have said is not known
		return
	}
	var m cache.Image
	if !s.image(&m, q, a) {
		return
	}
	m.Built = uint32(q.start / time.Second)
	// The TTLs are of a moment between the beginning of the query and now; where a second has begun in between, of which is not known.
	if uint32(now/time.Second) != m.Built {
		return
	}
	s.cache.PutImage(q.name.Lower(), q.Type, variantOf(q.validates(), q.checkingDisabled()), q.class, generation, &m, until, epoch, mark)
}

// image makes the image of an answer; false if it has none.
func (s *Server) image(m *cache.Image, q *query, a *recurse.Answer) bool {
	plain := query{Query: q.Query, table: q.table, name: q.name.Lower(), image: true}
	var b dns.Builder
	var room [dns.HeaderLen + dns.MaxNameLen + 4 + cache.MaxImage]byte
	b.Start(room[:0], len(room), 0, 0)
	b.Question(plain.question())
	from := b.Len()
	if !s.records(&b, &plain, a) {
		return false
	}
	s.additional(&b, &plain, a)
	msg := b.Finish()
	if len(a.Additional) > 0 && b.Len() > len(room)-1024 {
		return false // some of it may not have fitted
	}
	for _, ede := range a.EDEs {
		m.Options = ede.Append(dns.Options(m.Options))
	}
	m.Note = noteOf(q)
	m.RCode, m.Secure, m.Ended, m.By, m.Wire = q.rcode(a), a.Security == cache.Secure, q.ended, uint16(q.by), msg[from:]
	return index(m, msg, from)
}

// noteOf is what is kept with an image for who looks on at those who ask later: nothing, where no module has said anything and the client's view says where it is asked for. It is the place of the module that has ended the query, that of the
// first which has changed the answer, the length of the tag, the tag, and the group.
func noteOf(q *query) []byte {
	p := &q.path
	if p.Ended == 0 && p.Changed == 0 && q.tag == "" && p.Group == q.table.Clients.group("", q.Client.Addr()) {
		return nil
	}
	return append(append([]byte{p.Ended, p.Changed, byte(len(q.tag))}, q.tag...), p.Group...)
}

// readNote reads what noteOf has written; of what is damaged nothing is known.
func readNote(b []byte, l *plugin.Line) {
	if len(b) < 3 || int(b[2]) > len(b)-3 {
		l.Path.Order = ""
		return
	}
	l.Path.Ended, l.Path.Changed = b[0], b[1]
	l.Tag, l.Path.Group = string(b[3:3+int(b[2])]), string(b[3+int(b[2]):])
}

// index notes where the TTLs and the addresses of an image are, and counts its records.
func index(m *cache.Image, msg []byte, from int) bool {
	var turn struct {
		owner      dns.Name
		typ        dns.Type
		first, end int
		n          int
	}
	flush := func() bool {
		if turn.n > 255 {
			return false
		}
		if turn.n > 1 {
			m.Turns = binary.LittleEndian.AppendUint16(m.Turns, uint16(turn.first))
			m.Turns = append(m.Turns, byte(turn.n), byte(addressLen(turn.typ)))
		}
		turn.n = 0
		return true
	}
	off := from
	for section := range m.Counts {
		m.Counts[section] = binary.BigEndian.Uint16(msg[6+2*section:])
		for range m.Counts[section] {
			owner, next, err := dns.UnpackName(msg, off)
			if err != nil || next+10 > len(msg) {
				return false
			}
			m.TTLs = binary.LittleEndian.AppendUint16(m.TTLs, uint16(next+4-from))
			typ, data := dns.Type(binary.BigEndian.Uint16(msg[next:])), next+10
			n := int(binary.BigEndian.Uint16(msg[next+8:]))
			off = data + n
			if addressLen(typ) != n {
				if !flush() {
					return false
				}
				continue
			}
			if turn.n > 0 && turn.typ == typ && turn.owner.Equal(owner) {
				if data != turn.end+12 { // the owner is no pointer
					return false
				}
			} else {
				if !flush() {
					return false
				}
				turn.owner, turn.typ, turn.first = owner, typ, data-from
			}
			turn.n++
			turn.end = off
		}
		if !flush() {
			return false
		}
	}
	return off == len(msg)
}

// addressLen is how long the data of a record is whose set may begin with any, -1 if it may not.
func addressLen(t dns.Type) int {
	switch t {
	case dns.TypeA:
		return 4
	case dns.TypeAAAA:
		return 16
	}
	return -1
}
