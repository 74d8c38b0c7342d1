package feed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/internal/pipe"
	"github.com/ananas-edge/ananas/store"
)

// Each is a reason to leave a source, or to end a follower.
func TestLeave(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(f *fleet)
	}{
		{"a source that is silent for ten seconds is left for the next", func(f *fleet) {
			r, second, n := f.root("root"), f.root("second"), f.node("n")
			r.commit("a", "1")
			second.apply(f.log...)
			n.follow("root", "second")
			n.reaches(f, soon)
			r.mute.Store(true)
			time.Sleep(Silence - time.Second)
			if s := n.follower.State(); s.Source != "root" {
				f.Fatalf("it follows %q too early: %v", s.Source, s.Err)
			}
			f.until(2*time.Second, "it follows the second", func() bool { return n.follower.State().Source == "second" })
			if n.follower.m.silent.Value() != 1 {
				f.Error("it was not counted")
			}
		}},
		{"how old the copy is said to be does not begin anew with each attempt", func(f *fleet) {
			r, relay, n := f.root("root"), f.node("relay"), f.node("n")
			r.commit("a", "1")
			relay.follow("root")
			n.follow("relay")
			n.reaches(f, soon)
			r.mute.Store(true)
			time.Sleep(2 * time.Minute)
			for _, n := range []*fleetNode{relay, n} {
				if age, ok := n.follower.Age(); !ok || age < 115*time.Second {
					f.Errorf("%s says that its copy is %v old", n.name, age)
				}
				var silent *SilentError
				if n.dials() < 5 || n.follower.m.silent.Value() < 5 {
					f.Errorf("%s has tried %d times, and found silence %d times", n.name, n.dials(), n.follower.m.silent.Value())
				}
				_ = errors.As(n.follower.State().Err, &silent)
			}
		}},
		{"a relay that does not come on is left, though the root's beats come through it", func(f *fleet) {
			r, relay, n := f.root("root"), f.node("relay"), f.node("n")
			r.commit("a", "1")
			relay.follow("root")
			relay.reaches(f, soon)
			n.follow("relay", "root")
			n.reaches(f, soon)
			relay.full.Store(true)
			r.commit("a", "2")
			time.Sleep(Stall - 2*time.Second)
			if s := n.follower.State(); s.Source != "relay" {
				f.Fatalf("it follows %q too early: %v", s.Source, s.Err)
			}
			n.reaches(f, 5*time.Second)
			if s := n.follower.State(); s.Source != "root" || n.follower.m.stalled.Value() != 1 {
				f.Errorf("it follows %q", s.Source)
			}
		}},
		{"one whose own disk is full is not left for that", func(f *fleet) {
			r, n := f.root("root"), f.node("n")
			r.commit("a", "1")
			n.follow("root")
			n.reaches(f, soon)
			n.full.Store(true)
			r.commit("a", "2")
			time.Sleep(5 * Stall)
			n.full.Store(false)
			n.reaches(f, soon)
			if n.dials() != 1 {
				f.Errorf("it has connected %d times", n.dials())
			}
		}},
		{"two relays that follow each other", func(f *fleet) {
			r, a, b := f.root("root"), f.node("a"), f.node("b")
			r.commit("a", "1")
			a.follow("root")
			a.reaches(f, soon)
			b.follow("a")
			b.reaches(f, soon)
			a.leave()
			a.follow("b", "root")
			f.until(time.Minute, "they follow the root", func() bool {
				return fmt.Sprint(b.follower.Path()) == "[root a]" && a.follower.State().Source == "root"
			})
			a.leave()
			a.follow("b")
			time.Sleep(time.Minute)
			loops := 0
			for _, n := range []*fleetNode{a, b} {
				var loop *LoopError
				if errors.As(n.follower.State().Err, &loop) && loop.Hint() != "" {
					loops++
				}
			}
			if loops == 0 {
				f.Errorf("neither says that it follows itself: %v, %v", a.follower.State().Err, b.follower.State().Err)
			}
		}},
		{"a node that follows itself", func(f *fleet) {
			n := f.root("n")
			n.follow("n")
			time.Sleep(time.Second)
			var loop *LoopError
			if err := n.follower.State().Err; !errors.As(err, &loop) {
				f.Errorf("it says %v", err)
			}
		}},
		{"two nodes of one name", func(f *fleet) {
			r, n, twin := f.root("root"), f.node("n"), f.node("twin")
			twin.source.Close()
			twin.copy.Close()
			twin.name = "n"
			twin.open()
			r.commit("a", "1")
			n.follow("root")
			twin.follow("root")
			n.reaches(f, soon)
			twin.reaches(f, soon)
			time.Sleep(10 * time.Minute)
			told := false
			for _, n := range []*fleetNode{n, twin} {
				var g *Goodbye
				told = told || errors.As(n.follower.State().Err, &g) && g.Code == CodeReplaced && g.Hint() != ""
			}
			if !told || n.dials()+twin.dials() > 600 || len(r.source.Followers()) != 1 {
				f.Errorf("they have connected %d times in ten minutes: %v, %v", n.dials()+twin.dials(), n.follower.State().Err, twin.follower.State().Err)
			}
		}},
		{"a source that ends says so, and nobody keeps it", func(f *fleet) {
			r, n, slow := f.root("root"), f.node("n"), f.node("slow")
			r.fill(30)
			n.follow("root")
			n.reaches(f, soon)
			slow.delay.Store(int64(time.Second))
			slow.follow("root")
			time.Sleep(100 * time.Millisecond)
			slow.links(func(l *pipe.Link) { l.Hold(true) })
			time.Sleep(2 * time.Second)
			began := time.Now()
			r.source.Close()
			if d := time.Since(began); d > 2*goodbyeTime {
				f.Errorf("it took %v", d)
			}
			time.Sleep(50 * time.Millisecond)
			var g *Goodbye
			if err := n.follower.State().Err; !errors.As(err, &g) || g.Code != CodeStopping {
				f.Errorf("it says %v", err)
			}
			a, b, _ := pipe.New("late", "root")
			r.source.Take(b)
			if _, err := a.Read(make([]byte, 1)); err != io.EOF {
				f.Error("a source that was closed takes connections")
			}
			l := &listener{closed: make(chan struct{})}
			if err := r.source.Serve(l); err != nil {
				f.Error(err)
			}
		}},
		{"a copy that is closed before its source", func(f *fleet) {
			r, n := f.root("root"), f.node("n")
			r.commit("a", "1")
			n.follow("root")
			n.reaches(f, soon)
			r.copy.Close()
			time.Sleep(time.Minute)
		}},
		{"reports come together", func(f *fleet) {
			r, relay, a, b := f.root("root"), f.node("relay"), f.node("a"), f.node("b")
			relay.follow("root")
			a.follow("relay")
			b.follow("relay")
			time.Sleep(5 * time.Second)
			last := func(n *fleetNode, from string) string {
				n.mu.Lock()
				defer n.mu.Unlock()
				if len(n.merged[from]) < 4 {
					f.Errorf("%s has had %d reports in 5 s", n.name, len(n.merged[from]))
					return ""
				}
				return n.merged[from][len(n.merged[from])-1]
			}
			if got := last(r, "relay"); got != "relay+a+b" {
				f.Errorf("the root hears %q", got)
			}
			dials := a.dials()
			a.mu.Lock()
			a.report = make([]byte, MaxReport+1)
			a.mu.Unlock()
			time.Sleep(2 * time.Minute)
			if a.dials() != dials {
				f.Error("a report that is too long to be sent ends the connection")
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) { onFakeTime(t, c.do) })
	}
}

type listener struct{ closed chan struct{} }

func (l *listener) Accept() (net.Conn, error) { <-l.closed; return nil, net.ErrClosed }
func (l *listener) Close() error              { close(l.closed); return nil }
func (l *listener) Addr() net.Addr            { return pipe.Addr("") }

// raw is a peer that says what a test wants.
type raw struct {
	*fleet
	conn net.Conn
	r    reader
}

func (f *fleet) raw(from, to string, other side) *raw {
	a, b, _ := pipe.New(from, to)
	f.nodes[to].source.Take(b)
	return &raw{f, a, reader{r: bufio.NewReader(a), from: other}}
}

func (r *raw) say(t frameType, body []byte) {
	h := header(t, len(body))
	r.conn.Write(append(h[:], body...))
}

func (r *raw) hello(h hello) { r.say(typeHello, appendHello(nil, h)) }

// hears returns the next frame that is no beat.
func (r *raw) hears() (frameType, []byte) {
	for {
		t, body, err := r.r.next()
		if err != nil {
			return 0, nil
		}
		if t != typeBeat {
			return t, body
		}
	}
}

// goodbye reads until the last word.
func (r *raw) goodbye() *Goodbye {
	for {
		t, body := r.hears()
		if t == 0 {
			return &Goodbye{}
		}
		if t == typeGoodbye {
			g, err := parseGoodbye(body)
			if err != nil {
				r.Fatal(err)
			}
			return g
		}
	}
}

func good(f *fleet) hello {
	return hello{low: protocolLow, high: protocolHigh, wants: wantsRecords, lineage: f.head.Lineage, version: f.head.Version, hash: f.head.Hash, access: hiddenPrefixes(nil).Fingerprint()}
}

// A follower that does not keep to the protocol hears why it is left, and takes nothing with it.
func TestWrongFollower(t *testing.T) {
	for _, c := range []struct {
		name string
		code string
		do   func(p *raw)
	}{
		{"another protocol", CodeUpgrade, func(p *raw) { h := good(p.fleet); h.low, h.high = 7, 9; p.hello(h) }},
		{"no hello", CodeProtocol, func(p *raw) { p.say(typeReport, nil) }},
		{"a hello of something else", CodeProtocol, func(p *raw) { p.say(typeHello, []byte("GET / HTTP/1.1\r\n")) }},
		{"two hellos", CodeProtocol, func(p *raw) { p.hello(good(p.fleet)); p.hello(good(p.fleet)) }},
		{"a frame that only sources send", CodeProtocol, func(p *raw) { p.hello(good(p.fleet)); p.say(typeRecords, nil) }},
		{"a frame of no type", CodeProtocol, func(p *raw) { p.hello(good(p.fleet)); p.say(99, nil) }},
		{"a frame that is too long", CodeProtocol, func(p *raw) { p.hello(good(p.fleet)); p.say(typeResync, make([]byte, 2000)) }},
		{"a frame that is cut off", CodeProtocol, func(p *raw) { p.hello(good(p.fleet)); p.say(typeAck, make([]byte, 3)) }},
		{"too many asks", CodeProtocol, func(p *raw) {
			p.hello(good(p.fleet))
			p.conn.(*pipe.Conn).Link().Hold(true)
			for range 100 * (maxAsks + 1) {
				p.say(typeBlobAsk, make([]byte, 40))
			}
			p.conn.(*pipe.Conn).Link().Hold(false)
		}},
		{"too many reports", CodeProtocol, func(p *raw) {
			p.hello(good(p.fleet))
			for range maxSaid + 1 {
				p.say(typeReport, []byte("x"))
			}
		}},
		{"too many requests for snapshots", CodeProtocol, func(p *raw) {
			p.hello(good(p.fleet))
			go func() {
				for range maxSaid + 1 {
					p.say(typeResync, appendText(nil, "why", maxText))
				}
			}()
		}},
		{"nothing at all", CodeStalled, func(p *raw) { p.hello(good(p.fleet)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			onFakeTime(t, func(f *fleet) {
				r := f.root("root")
				r.commit("a", "1")
				p := f.raw("n", "root", down)
				defer p.conn.Close()
				c.do(p)
				if g := p.goodbye(); g.Code != c.code || g.Text == "" {
					f.Errorf("it hears %+v, not %q", g, c.code)
				}
				if _, err := p.conn.Read(make([]byte, 1)); err == nil {
					f.Error("something comes after the goodbye")
				}
				time.Sleep(time.Second)
				if left := r.source.Followers(); len(left) > 0 {
					f.Errorf("%q follow still", left)
				}
			})
		})
	}
}

// A source that does not keep to the protocol, or is broken, is left for the next one.
func TestWrongSource(t *testing.T) {
	for _, c := range []struct {
		name string
		want string // in the error
		do   func(p *raw, f *fleet)
	}{
		{"no welcome", "does not begin with a welcome", func(p *raw, f *fleet) { p.say(typeBeat, appendBeat(nil, Beat{})) }},
		{"another protocol", "speaks protocol 9", func(p *raw, f *fleet) { p.say(typeWelcome, appendWelcome(nil, welcome{protocol: 9, head: f.head})) }},
		{"a welcome that ends too early", "too early", func(p *raw, f *fleet) { p.say(typeWelcome, []byte{1}) }},
		{"nothing", "i/o timeout", func(p *raw, f *fleet) { time.Sleep(handshakeTime + time.Second) }},
		{"no sign of a root", "no sign of the root", func(p *raw, f *fleet) { p.welcome(f); time.Sleep(Silence + time.Second) }},
		{"entries of no snapshot", "without the beginning", func(p *raw, f *fleet) {
			p.welcome(f)
			p.say(typeEntries, appendEntry(nil, "a", store.Entry{Value: []byte("x")}))
		}},
		{"the end of no snapshot", "ends after 0", func(p *raw, f *fleet) { p.welcome(f); p.say(typeEnd, appendEnd(nil, end{})) }},
		{"a snapshot that has less than it says", "ends after 1", func(p *raw, f *fleet) {
			p.welcome(f)
			p.say(typeBegin, appendBegin(nil, begin{head: f.head}))
			p.say(typeEntries, appendEntry(nil, "a", store.Entry{Value: []byte("x")}))
			p.say(typeEnd, appendEnd(nil, end{entries: 2}))
		}},
		{"a snapshot with other entries than its head says", "sum of the snapshot", func(p *raw, f *fleet) {
			p.welcome(f)
			p.say(typeBegin, appendBegin(nil, begin{head: f.head}))
			p.say(typeEntries, appendEntry(nil, "a", store.Entry{Value: []byte("forged")}))
			p.say(typeEnd, appendEnd(nil, end{entries: 1}))
		}},
		{"a snapshot that is older than the copy", "is older than the copy", func(p *raw, f *fleet) {
			p.welcome(f)
			h := f.head
			h.Version--
			p.say(typeBegin, appendBegin(nil, begin{head: h}))
		}},
		{"records that can not be read", "reading a record", func(p *raw, f *fleet) { p.welcome(f); p.say(typeRecords, []byte{2, 0, 0, 0, 9, 9}) }},
		{"records that never fit, whatever snapshot comes", "does not fit its own snapshot", func(p *raw, f *fleet) {
			p.welcome(f)
			wrong := f.fork()
			wrong.record("a", "wrong")
			last := wrong.record("a", "wrong too")
			for range 10 {
				p.say(typeRecords, appendRecord(nil, last))
				if t := p.until(typeResync); t == 0 {
					return
				}
				p.say(typeBegin, appendBegin(nil, begin{head: f.head}))
				for key, e := range f.entries {
					p.say(typeEntries, appendEntry(nil, key, e))
				}
				p.say(typeEnd, appendEnd(nil, end{entries: uint64(len(f.entries))}))
			}
		}},
		{"a snapshot that begins and goes no further, while beats come", "stays at version", func(p *raw, f *fleet) {
			p.welcome(f)
			h := f.head
			h.Version++
			p.say(typeBegin, appendBegin(nil, begin{head: h}))
			for range 40 {
				p.say(typeBeat, appendBeat(nil, Beat{Time: time.Now(), Lineage: h.Lineage, Version: h.Version, Source: h.Version}))
				time.Sleep(time.Second)
			}
		}},
		{"a frame of twelve megabytes", "more than 65536", func(p *raw, f *fleet) {
			p.welcome(f)
			h := header(typeRecords, maxBody)
			p.conn.Write(h[:])
		}},
		{"parts of a record without an end", "more than 8892420 octets together", func(p *raw, f *fleet) {
			p.welcome(f)
			h := header(typePart, batchBytes)
			for range maxBody/batchBytes + 1 {
				if _, err := p.conn.Write(append(h[:], make([]byte, batchBytes)...)); err != nil {
					return
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			onFakeTime(t, func(f *fleet) {
				r, n := f.root("root"), f.node("n")
				r.commit("a", "1")
				n.follow("root")
				n.reaches(f, soon)
				n.leave()
				f.node("wrong")
				n.follow("wrong")
				n.leave() // what Follow has made is used for one connection by hand
				a, b, _ := pipe.New("n", "wrong")
				p := &raw{f, b, reader{r: bufio.NewReader(b), from: up}}
				done := make(chan struct{})
				go func() {
					defer close(done)
					p.hears()
					c.do(p, f)
				}()
				n.follower.c.Dial = func(context.Context, string) (net.Conn, error) { return a, nil }
				err := n.follower.follow(f.ctx, 0, nil)
				if err == nil || !strings.Contains(err.Error(), c.want) {
					f.Errorf("it says %v, and not %q", err, c.want)
				}
				b.Close()
				<-done
				if n.copy.View().Head() != f.head {
					f.Errorf("it is at %+v", n.copy.View().Head())
				}
			})
		})
	}
}

func (r *raw) welcome(f *fleet) {
	r.say(typeWelcome, appendWelcome(nil, welcome{protocol: protocolHigh, head: f.head, path: []string{"wrong"}, statement: signed(f.head.Lineage)}))
}

// until reads to a frame of a type.
func (r *raw) until(want frameType) frameType {
	for {
		if t, _ := r.hears(); t == want || t == 0 {
			return t
		}
	}
}

// Connections that come to nothing are gone after a time, and what they had with them.
func TestHandshakes(t *testing.T) {
	onFakeTime(t, func(f *fleet) {
		r := f.root("root")
		r.commit("a", "1")
		var conns []net.Conn
		for range maxHandshakes {
			conns = append(conns, f.raw("idle", "root", down).conn)
		}
		more := f.raw("n", "root", down)
		if _, err := more.conn.Read(make([]byte, 1)); err != io.EOF {
			f.Errorf("one more than the limit is not let go: %v", err)
		}
		if r.source.m.limits.With("handshakes").Value() != 1 {
			f.Error("it was not counted")
		}
		// Who came first, and says nothing, is closed for one who has come since, and the others stay.
		time.Sleep(handshakeRoom)
		late := f.raw("late", "root", down)
		late.hello(good(f))
		if t, _ := late.hears(); t != typeWelcome {
			f.Errorf("nobody is let in beside %d who say nothing", maxHandshakes)
		}
		late.conn.Close()
		if n := r.source.m.limits.With("handshakes").Value(); n != 2 {
			f.Errorf("%v limits were counted", n)
		}
		began := time.Now().Add(-handshakeRoom)
		for _, c := range conns {
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				f.Errorf("an idle one: %v", err)
			}
		}
		if d := time.Since(began); d != handshakeTime {
			f.Errorf("they were kept for %v", d)
		}
		p := f.raw("n", "root", down)
		p.hello(good(f))
		if t, _ := p.hears(); t != typeWelcome {
			f.Error("nobody is let in after them")
		}
		p.conn.Close()
		// A follower that has gone before its welcome could be written is none.
		p = f.raw("gone", "root", down)
		p.conn.(*pipe.Conn).Link().Delay(time.Second)
		p.hello(good(f))
		p.conn.Close()
		time.Sleep(5 * time.Second)
		if left := r.source.Followers(); len(left) > 0 {
			f.Errorf("%q follow still", left)
		}
	})
}

func TestFollowerLimit(t *testing.T) {
	onFakeTime(t, func(f *fleet) {
		r := f.root("root")
		r.commit("a", "1")
		peers := make([]*raw, MaxFollowers)
		for i := range peers {
			peers[i] = f.raw(fmt.Sprint("n", i), "root", down)
			peers[i].hello(good(f))
			if t, _ := peers[i].hears(); t != typeWelcome {
				f.Fatalf("follower %d is not welcome", i)
			}
		}
		p := f.raw("more", "root", down)
		p.hello(good(f))
		if g := p.goodbye(); g.Code != CodeBusy || g.Mend == "" {
			f.Errorf("one more hears %+v", g)
		}
		p = f.raw("n7", "root", down) // takes its own place
		p.hello(good(f))
		if t, _ := p.hears(); t != typeWelcome {
			f.Error("one that is connected already may not connect anew")
		}
		if g := peers[7].goodbye(); g.Code != CodeReplaced {
			f.Errorf("the one before hears %+v", g)
		}
		if names := r.source.Followers(); len(names) != MaxFollowers || !slices.IsSorted(names) {
			f.Errorf("%d follow", len(names))
		}
		p.conn.Close()
		for _, p := range peers {
			p.conn.Close()
		}
	})
}
