package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

const inNamespaceEnv = "ANANAS_LAB_TEST_NAMESPACE"

var prepareNamespace = sync.OnceValue(func() error {
	for _, c := range NamespaceCommands() {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(c, " "), err, out)
		}
	}
	return nil
})

// inNamespace runs the test again in a process with a network namespace of its own, where it returns true.
func inNamespace(t testing.TB, args ...string) bool {
	t.Helper()
	if os.Getenv(inNamespaceEnv) != "" {
		if err := prepareNamespace(); err != nil {
			t.Fatal(err)
		}
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("left out: the carrier on sockets (port 53 in a network namespace takes root)")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("left out: the carrier on sockets (the command ip is missing; Debian: apt install iproute2)")
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), inNamespaceEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skip("left out: the carrier on sockets (this system allows no network namespaces)")
	}
	if err != nil {
		t.Fatalf("in a namespace: %v\n%s", err, out)
	}
	if _, isBenchmark := t.(*testing.B); isBenchmark {
		fmt.Printf("%s", out)
	}
	return false
}

// serve runs the carrier until the test ends.
func serve(t testing.TB, l *Lab) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- l.ServeSockets(ctx, SocketConfig{Ready: func() { close(ready) }}) }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t, goleak.IgnoreCurrent())
	})
}

func TestSockets(t *testing.T) {
	if !inNamespace(t, "-test.run=^TestSockets$", "-test.v") {
		return
	}
	l := newLab(t, `
[generate zones=100 hosts=100]
[zone test.com servers=192.0.2.1,2001:db8::1]
www A 192.0.2.80
[server 192.0.2.1]
latency 30ms
[zone elsewhere.com servers=192.0.2.2]
[server 192.0.2.2]
fault wrong-source addr=192.0.2.99
fault tcp-refuse
[zone silent.com servers=192.0.2.3]
[server 192.0.2.3]
fault tcp-silent
[zone drip.com servers=192.0.2.4]
[server 192.0.2.4]
fault tcp-drip by=1ms
fault drop when=udp
[zone close.com servers=192.0.2.5]
[server 192.0.2.5]
fault tcp-close`)
	serve(t, l)
	const patience = time.Minute
	udp, tcp := &miekg.Client{Timeout: patience}, &miekg.Client{Net: "tcp", Timeout: patience}
	exchange := func(c *miekg.Client, server, name string) (*miekg.Msg, time.Duration, error) {
		return c.Exchange(newQuestion(name, miekg.TypeA), net.JoinHostPort(server, "53"))
	}
	for _, server := range []string{"198.41.0.4", "2001:503:ba3e::2:30"} {
		for _, c := range []*miekg.Client{udp, tcp} {
			r, _, err := exchange(c, server, "www.test.com")
			if err != nil || len(r.Ns) == 0 || r.Ns[0].Header().Name != "com." {
				t.Errorf("%s over %q: %v\n%v", server, c.Net, err, r)
			}
		}
	}
	for c, least := range map[*miekg.Client]time.Duration{udp: 30 * time.Millisecond, tcp: 60 * time.Millisecond} {
		// The machine may have other work and be late, but not each time.
		for tries := 1; ; tries++ {
			r, d, err := exchange(c, "192.0.2.1", "www.test.com")
			if err != nil || len(r.Answer) != 2 || d < least || d > least+500*time.Millisecond && tries == 20 {
				t.Errorf("over %q: %v after %v, %v ordered\n%v", c.Net, err, d, least, r)
			}
			if d <= least+500*time.Millisecond || tries == 20 {
				break
			}
		}
	}

	// A socket that is not connected sees where replies come from, and whom they are for.
	c, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for to, from := range map[string]string{"192.0.2.1:53": "192.0.2.1:53", "192.0.2.2:53": "192.0.2.99:53"} {
		if _, err := c.WriteToUDPAddrPort(packed(t, "elsewhere.com", miekg.TypeSOA, 5), netip.MustParseAddrPort(to)); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, got, err := c.ReadFromUDPAddrPort(make([]byte, 2048)); err != nil || got.String() != from {
			t.Errorf("asking %s: reply from %v (%v), %s wanted", to, got, err, from)
		}
	}
	if client := l.Questions()[0].Client.Addr(); client.String() != "192.0.2.53" {
		t.Errorf("the lab sees the client as %v", client)
	}

	if _, _, err := exchange(tcp, "192.0.2.2", "elsewhere.com"); err == nil {
		t.Error("a server that refuses TCP answered over it")
	}
	impatient := &miekg.Client{Net: "tcp", Timeout: 300 * time.Millisecond}
	if _, d, err := exchange(impatient, "192.0.2.3", "silent.com"); err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a silent server: %v after %v", err, d)
	}
	if _, d, err := exchange(tcp, "192.0.2.4", "drip.com"); err != nil || d < 50*time.Millisecond {
		t.Errorf("a dripping server: %v after %v", err, d)
	}
	if _, _, err := exchange(tcp, "192.0.2.5", "close.com"); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a closing server: %v", err)
	}

	// Several questions on one connection.
	conn, err := net.Dial("tcp", "192.0.2.1:53")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for id := range uint16(3) {
		if _, err := conn.Write(frame(packed(t, "www.test.com", miekg.TypeA, id))); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if msg, err := readFrame(conn); err != nil || len(unpack(t, msg).Answer) == 0 {
			t.Errorf("pipelined: %v", err)
		}
	}
}

func cpuTime() time.Duration {
	var r unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkSockets asks as a cold resolver does: different names at root, top-level domain and zone, with DO, 200 under way. cpu/op counts
// this process, so the client too.
func BenchmarkSockets(b *testing.B) {
	if !inNamespace(b, "-test.run=^$", "-test.bench=^BenchmarkSockets$", "-test.benchtime=60000x", "-test.cpu=1") {
		return
	}
	l := newLab(b, "[generate]\n[defaults]\nlatency 2ms..8ms\nfault cookies of=33%\nfault verbose of=40%")
	serve(b, l)
	type ask struct {
		msg []byte
		to  netip.AddrPort
	}
	var asks []ask
	for i, n := range l.Names(20000) {
		zones := l.enclosing(n, netip.Addr{}, 0)
		msg := packed(b, n.String(), miekg.TypeA, uint16(i))
		for _, z := range zones {
			if a := z.addrs[i%len(z.addrs)]; a.Is4() {
				asks = append(asks, ask{msg, netip.AddrPortFrom(a, port)})
			}
		}
	}
	var next, answered atomic.Int64
	var work sync.WaitGroup
	cpu := cpuTime()
	b.ResetTimer()
	for range 200 {
		work.Go(func() {
			c, err := net.ListenUDP("udp4", nil)
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			buf := make([]byte, 4096)
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				a := asks[int(i)%len(asks)]
				_, _ = c.WriteToUDPAddrPort(a.msg, a.to)
				_ = c.SetReadDeadline(time.Now().Add(time.Second))
				if _, _, err := c.ReadFromUDPAddrPort(buf); err == nil {
					answered.Add(1)
				}
			}
		})
	}
	work.Wait()
	b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
	b.ReportMetric(100*float64(answered.Load())/float64(b.N), "%answered")
}
