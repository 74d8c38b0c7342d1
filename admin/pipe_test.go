package admin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"time"
)

// pipes are a listener whose connections are in memory, so that in a bubble their deadlines are those of its clock.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8053} }

// overPipes has requests answered over connections until end is called, which the test does in its bubble.
func (b *bench) overPipes() (client *http.Client, end func()) {
	p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	b.listener = p
	served := make(chan error, 1)
	go func() { served <- b.Serve() }()
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		p.conns <- there
		return here, nil
	}}
	return &http.Client{Transport: transport}, func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := errors.Join(b.Shutdown(ctx), <-served); err != nil {
			b.t.Error(err)
		}
	}
}

// deadlines is an answer that remembers which deadlines were set.
type deadlines struct {
	*httptest.ResponseRecorder
	read time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error { d.read = t; return nil }
