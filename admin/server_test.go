package admin

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serve starts the server on a socket, until the test ends, and returns its URL.
func (b *bench) serve() string {
	b.t.Helper()
	address, err := b.Listen()
	if err != nil {
		b.t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- b.Serve() }()
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := b.Shutdown(ctx); err != nil {
			b.t.Error(err)
		}
		if err := <-served; err != nil {
			b.t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return "http://" + address.String()
}

func (b *bench) get(url string) *http.Response {
	b.t.Helper()
	response, err := http.Get(url)
	if err != nil {
		b.t.Fatal(err)
	}
	return response
}

func TestServesOnASocket(t *testing.T) {
	b := newBench(t)
	base := b.serve()
	response := b.get(base + "/healthz")
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || string(body) != "{\"alive\":true}\n" {
		t.Errorf("got %q, %v", body, err)
	}

	r, err := http.NewRequest("POST", base+"/api/v1/reload", nil)
	if err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]int{"": http.StatusUnauthorized, b.token: http.StatusOK} {
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("a reload with the token %.4q: HTTP %d, want %d", token, response.StatusCode, want)
		}
	}
}

func TestSecondNodeOnOneAddress(t *testing.T) {
	first := newBench(t)
	first.serve()
	second := newBench(t, func(c *Config) { c.Address = first.listener.Addr().String() })
	_, err := second.Listen()
	var taken *ListenError
	if !errors.As(err, &taken) || !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(taken.Hint(), "another node") {
		t.Errorf("got %v", err)
	}
	if err := second.Serve(); err == nil {
		t.Error("it serves without listening")
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1:8053", "[::1"} {
		if _, err := New(Config{Address: address, Data: t.TempDir()}); err == nil {
			t.Errorf("%q was taken", address)
		}
	}
	s, err := New(Config{Data: t.TempDir()})
	if err != nil || s.config.Address != DefaultAddress {
		t.Errorf("without an address: %v, %v", s, err)
	}
}

// Shutdown lets a request finish and ends a stream, which might go on for a minute.
func TestShutdown(t *testing.T) {
	b := newBench(t)
	address, err := b.Listen()
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + address.String()
	served := make(chan error, 1)
	go func() { served <- b.Serve() }()
	defer http.DefaultClient.CloseIdleConnections()

	listing, listed := make(chan struct{}), make(chan struct{})
	b.node.list = func(context.Context, CacheQuery) (CacheList, error) {
		close(listing)
		<-listed
		return CacheList{}, nil
	}
	b.node.explain = func(ctx context.Context, _ ExplainRequest, emit func(Event) error) (ExplainAnswer, error) {
		emit(Event{Seq: 1})
		<-ctx.Done()
		return ExplainAnswer{}, ctx.Err()
	}
	stream := b.get(base + "/api/v1/explain?name=.")
	defer stream.Body.Close()
	in := bufio.NewScanner(stream.Body)
	in.Scan()
	status := make(chan int)
	go func() {
		response, err := http.Get(base + "/api/v1/cache")
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		response.Body.Close()
		status <- response.StatusCode
	}()
	<-listing

	down := make(chan error, 1)
	go func() { down <- b.Shutdown(context.Background()) }()
	if err := <-served; err != nil {
		t.Errorf("Serve returned %v", err)
	}
	if !in.Scan() || !strings.Contains(in.Text(), "the node is stopping") {
		t.Errorf("the stream ended with %q", in.Text())
	}
	close(listed)
	if got := <-status; got != http.StatusOK {
		t.Errorf("the request in work got HTTP %d", got)
	}
	if err := <-down; err != nil {
		t.Errorf("Shutdown returned %v", err)
	}
	if _, err := net.Dial("tcp", address.String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("afterwards it still listens: %v", err)
	}
}

func TestShutdownDoesNotWaitForever(t *testing.T) {
	b := newBench(t)
	address, err := b.Listen()
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- b.Serve() }()
	working, release := make(chan struct{}), make(chan struct{})
	b.node.list = func(context.Context, CacheQuery) (CacheList, error) {
		close(working)
		<-release
		return CacheList{}, nil
	}
	broken := make(chan error)
	go func() {
		_, err := http.Get("http://" + address.String() + "/api/v1/cache")
		broken <- err
	}()
	<-working
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown returned %v", err)
	}
	if err := <-broken; err == nil {
		t.Error("the request was not cut off")
	}
	close(release)
	<-served
}

func TestShutdownBeforeServe(t *testing.T) {
	b := newBench(t)
	address, err := b.Listen()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", address.String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("it still listens: %v", err)
	}
	if err := newBench(t).Shutdown(t.Context()); err != nil {
		t.Errorf("without a socket: %v", err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	b := newBench(t)
	base := b.serve()
	address := strings.TrimPrefix(base, "http://")
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		return c
	}
	for range MaxConnections {
		dial()
	}
	last := dial() // accepted in this order
	if n, err := last.Read(make([]byte, 1)); err == nil {
		t.Errorf("one connection too many reads %d bytes", n)
	}
	if !b.metric(`ananas_admin_limit_reached_total{limit="connections"} 1`) {
		t.Error("the limit is not counted")
	}
	if _, err := io.WriteString(open[0], "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(open[0])
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
		t.Errorf("the first connection got %q, %v", answer, err)
	}
}

func TestHeadersAreBounded(t *testing.T) {
	b := newBench(t)
	base := b.serve()
	r, err := http.NewRequest("GET", base+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Long", strings.Repeat("x", MaxHeaderBytes+8<<10))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("HTTP %d", response.StatusCode)
	}
}
