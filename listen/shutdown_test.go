package listen

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestShutdownWithoutServe(t *testing.T) {
	s, err := Open(loopback("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestShutdownLetsUDPQueriesInFlightBeAnswered(t *testing.T) {
	eachReader(t, func(t *testing.T, start func(HandlerFunc, Config) *Server) {
		kept := make(chan Reply, 1)
		s := start(func(p Packet, out []byte, reply Reply) []byte {
			kept <- reply
			return nil
		}, loopback("127.0.0.1:0"))
		c := dial(t, "udp", s.Addrs()[0])
		c.Write(query(1, "in flight"))
		reply := <-kept
		ended := make(chan error)
		go func() { ended <- s.Shutdown(context.Background()) }()
		<-s.stop
		reply.Write(query(1, "answer"))
		if got := receive(t, c); string(got[12:]) != "answer" {
			t.Errorf("got %q", got)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		reply.Write(query(1, "after the end")) // must be harmless
		if err := s.Shutdown(context.Background()); err != nil {
			t.Errorf("second Shutdown: %v", err)
		}
	})
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	kept := make(chan Reply, 2)
	s, err := Open(loopback("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(HandlerFunc(func(p Packet, out []byte, reply Reply) []byte {
		kept <- reply
		return nil
	}))
	dial(t, "udp", s.Addrs()[0]).Write(query(1, ""))
	dial(t, "tcp", s.Addrs()[0]).Write(appendFrame(nil, query(2, "")))
	replies := []Reply{<-kept, <-kept}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err = s.Shutdown(ctx)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "2 queries and 1 connections left") {
		t.Errorf("Shutdown: %v", err)
	}
	for _, r := range replies {
		r.Write(query(1, "too late"))
	}
}

func TestShutdownLetsTCPQueriesInFlightBeAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{}, func(p Packet, out []byte, reply Reply) []byte {
			q := bytes.Clone(p.Data)
			time.AfterFunc(3*time.Second, func() { reply.Write(q) })
			return nil
		})
		idle, busy := w.client(), w.client()
		busy.Write(appendFrame(nil, query(1, "")))
		synctest.Wait()
		at := time.Now()
		ended := make(chan error, 1)
		go func() { ended <- w.Shutdown(context.Background()) }()
		if took, _ := closes(t, idle); took != 0 {
			t.Errorf("the idle connection was closed after %v", took)
		}
		if took, got := closes(t, busy); took != 3*time.Second || len(got) != 14 {
			t.Errorf("the busy connection was closed after %v with %d octets, want 3s and 14", took, len(got))
		}
		if err := <-ended; err != nil || time.Since(at) != 3*time.Second {
			t.Errorf("Shutdown took %v: %v", time.Since(at), err)
		}
		late := w.client()
		if took, _ := closes(t, late); took != 0 {
			t.Errorf("a connection after Shutdown was closed after %v", took)
		}
		wantClosed(t, w, byShutdown, 3)
	})
}

func TestShutdownGivesUpOnTCPWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		replies := make(chan Reply, 1)
		w := newWorld(t, Limits{}, func(p Packet, out []byte, reply Reply) []byte {
			replies <- reply
			return nil
		})
		c := w.client()
		c.Write(appendFrame(nil, query(1, "")))
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
		defer cancel()
		at := time.Now()
		err := w.Shutdown(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(at) != 4*time.Second {
			t.Errorf("Shutdown after %v: %v", time.Since(at), err)
		}
		closes(t, c)
		(<-replies).Write(query(1, ""))
	})
}

func TestShutdownWaitsForTicketsThatAreOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{}, echo)
		ticket := w.tickets.get(nowhere{})
		time.AfterFunc(3*time.Second, ticket.reply().Drop)
		at := time.Now()
		w.end()
		if took := time.Since(at); took != 3*time.Second {
			t.Errorf("Shutdown took %v, want 3s", took)
		}
	})
}

// nowhere takes answers to nobody.
type nowhere struct{}

func (nowhere) answer(*ticket, []byte) {}
