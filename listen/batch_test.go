package listen

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"
)

// batchEcho is a [BatchHandler] that does with a query what its body begins with: "now" and "first" are answered in the loop, "own" with memory of the handler, "in place" with
// the query's own, "empty" with nothing; "panic" stops the batch there; all else is left to Serve, which says so.
type batchEcho struct {
	loops, batches, queries atomic.Int64
	most                    atomic.Int64 // queries in one batch
	askedLoops              atomic.Int64 // loops that had a batch
}

type batchEchoLoop struct {
	h     *batchEcho
	busy  atomic.Bool
	asked bool
}

func (h *batchEcho) Loop() Loop {
	h.loops.Add(1)
	return &batchEchoLoop{h: h}
}

func (h *batchEcho) Serve(p Packet, out []byte, reply Reply) []byte {
	switch body := p.Data[12:]; {
	case bytes.HasPrefix(body, []byte("later")):
		a := append(answered(nil, p.Data), ", singly"...)
		go reply.Write(a)
		return nil
	case bytes.HasPrefix(body, []byte("drop")):
		reply.Drop()
		return nil
	}
	return append(answered(out, p.Data), ", singly"...)
}

func (l *batchEchoLoop) ServeBatch(queries []Query) {
	if !l.busy.CompareAndSwap(false, true) {
		panic("two at once")
	}
	defer l.busy.Store(false)
	l.h.batches.Add(1)
	if !l.asked {
		l.asked = true
		l.h.askedLoops.Add(1)
	}
	l.h.queries.Add(int64(len(queries)))
	l.h.most.Store(max(l.h.most.Load(), int64(len(queries))))
	for i := range queries {
		q := &queries[i]
		if q.Answer != nil || len(q.Out) != 0 || cap(q.Out) < 4096+64 || !q.Client.IsValid() || !q.Local.IsValid() {
			panic(fmt.Sprintf("query %d of %d is %+v", i, len(queries), q))
		}
		switch body := q.Data[12:]; {
		case bytes.HasPrefix(body, []byte("now")), bytes.HasPrefix(body, []byte("first")):
			q.Answer = answered(q.Out, q.Data)
		case bytes.HasPrefix(body, []byte("own")):
			q.Answer = answered(nil, q.Data)
		case bytes.HasPrefix(body, []byte("in place")):
			q.Data[2] |= 0x80
			q.Answer = q.Data
		case bytes.HasPrefix(body, []byte("empty")):
			q.Answer = []byte{}
		case bytes.HasPrefix(body, []byte("panic")):
			panic("of a loop")
		}
	}
}

// answered appends a query with QR set.
func answered(out, q []byte) []byte {
	out = append(out, q...)
	out[2] |= 0x80
	return out
}

// startBatch is startWith for any handler.
func startBatch(t testing.TB, h Handler, cfg Config, change func(*Server)) *Server {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	change(s)
	s.Serve(h)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestBatchIsAnsweredInTheLoopOrOneByOne(t *testing.T) {
	for _, singly := range []bool{false, true} {
		t.Run(fmt.Sprintf("singly=%v", singly), func(t *testing.T) {
			h := new(batchEcho)
			cfg := loopback("127.0.0.1:0")
			cfg.Loops = 1
			s := startBatch(t, h, cfg, func(s *Server) { s.singly = singly })
			c := dial(t, "udp", s.Addrs()[0])
			c.Write(nil)
			c.Write(query(1, "")[:11])
			c.Write(make([]byte, udpMost+1))
			c.Write(query(1, "empty"))
			c.Write(query(1, "drop"))
			for i, x := range []struct{ body, want string }{
				{"now", "now"}, {"own", "own"}, {"in place", "in place"}, {"else", "else, singly"}, {"later", "later, singly"}, {"panic", "panic, singly"}, {"now", "now"},
			} {
				got := ask(t, c, query(uint16(i), x.body))
				if want := answered(nil, query(uint16(i), x.want)); !bytes.Equal(got, want) {
					t.Errorf("asked %q, got %q, want %q", x.body, got, want)
				}
			}
			s.Shutdown(context.Background()) // what is sent is counted after it has been
			m := s.metrics
			for _, x := range []struct {
				what      string
				got, want uint64
			}{
				{"received", m.udp.received.Value(), 12},
				{"sent", m.udp.sent.Value(), 7},
				{"short", m.dropUDPShort.Value(), 2},
				{"long", m.dropUDPLong.Value(), 1},
				{"by the handler", m.dropUDPHandler.Value(), 2},
				{"panics", m.panics.Value(), 1},
				{"by panic", m.dropUDPPanic.Value(), 0},
				{"loops", uint64(h.loops.Load()), 1},
				{"queries of batches", uint64(h.queries.Load()), 9},
				{"in flight", uint64(s.tickets.inFlight()), 0},
			} {
				if x.got != x.want {
					t.Errorf("%s: counted %d, want %d", x.what, x.got, x.want)
				}
			}
		})
	}
}

func TestBatchPanicLosesNoQuery(t *testing.T) {
	h := new(batchEcho)
	s, err := Open(loopback("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, "udp", s.Addrs()[0])
	bodies := []string{"first", "panic", "now", "else"}
	for i, body := range bodies { // all wait before the loop begins, so they are one batch
		c.Write(query(uint16(i), body))
	}
	s.Serve(h)
	defer s.Shutdown(context.Background())
	got := map[string]bool{}
	for range bodies {
		got[string(receive(t, c)[12:])] = true
	}
	// Those before it too: what was written last may be half done.
	for _, want := range []string{"first, singly", "panic, singly", "now, singly", "else, singly"} {
		if !got[want] {
			t.Errorf("no answer %q among %v", want, got)
		}
	}
}
