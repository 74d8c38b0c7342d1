package listen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestUDPAndTCPShareTheChosenPort(t *testing.T) {
	s := start(t, echo, loopback("127.0.0.1:0", "[::1]:0", "127.0.0.1:0"))
	addrs := s.Addrs()
	if len(addrs) != 3 || addrs[0].Addr().String() != "127.0.0.1" || addrs[1].Addr().String() != "::1" {
		t.Fatalf("Addrs() = %v", addrs)
	}
	for _, addr := range addrs {
		if got := ask(t, dial(t, "udp", addr), query(1, "")); len(got) != 12 {
			t.Errorf("%v over UDP: %x", addr, got)
		}
		if got := ask(t, dial(t, "tcp", addr), appendFrame(nil, query(1, ""))); len(got) != 14 {
			t.Errorf("%v over TCP: %x", addr, got)
		}
	}
}

func TestOpenSaysWhoIsInTheWayAndBindsNothing(t *testing.T) {
	free := func() netip.AddrPort { // a port that was free a moment ago
		s, err := Open(loopback("127.0.0.1:0"))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Shutdown(context.Background())
		return s.Addrs()[0]
	}
	for _, c := range []struct {
		name string
		hold func(taken netip.AddrPort) (io.Closer, error)
		want string // %d: the port
	}{
		{"UDP", func(a netip.AddrPort) (io.Closer, error) { return net.ListenUDP("udp4", net.UDPAddrFromAddrPort(a)) },
			`listening on "127.0.0.1:%[1]d" over udp: another process holds it; hint: ss -Hlunp 'sport = :%[1]d' shows which`},
		{"TCP", func(a netip.AddrPort) (io.Closer, error) { return net.Listen("tcp4", a.String()) },
			`listening on "127.0.0.1:%[1]d" over tcp: another process holds it; hint: ss -Hltnp 'sport = :%[1]d' shows which`},
		{"UDP on all addresses", func(a netip.AddrPort) (io.Closer, error) {
			return net.ListenUDP("udp4", &net.UDPAddr{Port: int(a.Port())})
		}, `listening on "127.0.0.1:%[1]d" over udp: another process holds it; hint: ss -Hlunp 'sport = :%[1]d' shows which`},
		{"UDP shared with SO_REUSEPORT", func(a netip.AddrPort) (io.Closer, error) {
			cfg := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
				var err error
				raw.Control(func(fd uintptr) { err = setReusePort(fd) })
				return err
			}}
			return cfg.ListenPacket(context.Background(), "udp4", a.String())
		}, `listening on "127.0.0.1:%[1]d" over udp: another process holds it; hint: ss -Hlunp 'sport = :%[1]d' shows which`},
		{"a node", func(a netip.AddrPort) (io.Closer, error) {
			s, err := Open(Config{DNS: []netip.AddrPort{a}})
			return closer(func() { s.Shutdown(context.Background()) }), err
		}, `listening on "127.0.0.1:%[1]d" over tcp: another process holds it; hint: ss -Hltnp 'sport = :%[1]d' shows which`},
		{"UDP of a node with several sockets", func(a netip.AddrPort) (io.Closer, error) {
			s, err := Open(Config{DNS: []netip.AddrPort{a}, Loops: 3})
			if err != nil {
				return nil, err
			}
			s.tcp[0].Close() // it would be in the way first
			return closer(func() { s.Shutdown(context.Background()) }), nil
		}, `listening on "127.0.0.1:%[1]d" over udp: another process holds it; hint: ss -Hlunp 'sport = :%[1]d' shows which`},
	} {
		t.Run(c.name, func(t *testing.T) {
			first, taken := free(), free()
			for taken == first {
				taken = free()
			}
			holder, err := c.hold(taken)
			if err != nil {
				t.Skipf("the free port is taken: %v", err)
			}
			defer holder.Close()
			s, err := Open(Config{DNS: []netip.AddrPort{first, taken}})
			if err == nil {
				s.Shutdown(context.Background())
				t.Fatal("opened")
			}
			var bind *BindError
			if !errors.As(err, &bind) || bind.Addr != taken || !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("error %#v", err)
			}
			if want := fmt.Sprintf(c.want, taken.Port()); runtime.GOOS == "linux" && err.Error()+"; hint: "+bind.Hint() != want {
				t.Errorf("got  %v; %s\nwant %v", err, bind.Hint(), want)
			}
			if free := Free(Config{DNS: []netip.AddrPort{first, taken}}); free == nil || free.Error() != err.Error() {
				t.Errorf("looked at before: %v", free)
			}
			if err := Free(Config{DNS: []netip.AddrPort{first}}); err != nil {
				t.Errorf("what is free: %v", err)
			}
			again, err := Open(Config{DNS: []netip.AddrPort{first}})
			if err != nil {
				t.Fatalf("the first address was not let go: %v", err)
			}
			again.Shutdown(context.Background())
		})
	}
}

type closer func()

func (c closer) Close() error { c(); return nil }

func TestBindErrorsTellWhatToDo(t *testing.T) {
	errno := func(e syscall.Errno) error {
		return &net.OpError{Op: "listen", Net: "udp", Err: os.NewSyscallError("bind", e)}
	}
	for _, c := range []struct {
		addr string
		err  error
		want []string
	}{
		{"192.0.2.1:53", errno(syscall.EADDRNOTAVAIL), []string{`listening on "192.0.2.1:53" over udp: no interface of this machine has the address 192.0.2.1; hint: `, "shows which there are"}},
		{"0.0.0.0:53", errno(syscall.EADDRINUSE), []string{"another process holds it", "systemd-resolved"}},
		{"[::1]:53", errno(syscall.EACCES), []string{`listening on "[::1]:53" over udp: ports below 1024 need a privilege; hint: `, "1024"}},
		{"[::1]:5335", errno(syscall.EACCES), []string{`listening on "[::1]:5335" over udp: permission denied`}},
		{"[::1]:5335", errno(syscall.EAFNOSUPPORT), []string{"this system has no IPv6; hint: listen on addresses of the other family only"}},
		{"127.0.0.1:5335", errno(syscall.EAFNOSUPPORT), []string{"this system has no IPv4"}},
		{"127.0.0.1:5335", errno(syscall.EMFILE), []string{"too many open files; hint: raise the limit of open files"}},
		{"127.0.0.1:5335", errors.New("something else"), []string{`listening on "127.0.0.1:5335" over udp: something else`}},
	} {
		got := bindError(netip.MustParseAddrPort(c.addr), UDP, c.err)
		for _, want := range c.want {
			if !strings.Contains(got.Error()+"; hint: "+got.Hint(), want) {
				t.Errorf("%s, %v:\ngot  %v\nwant %v", c.addr, c.err, got, want)
			}
		}
		if !errors.Is(got, c.err) {
			t.Errorf("%v does not wrap its cause", got)
		}
	}
}

func TestAddressThatNoInterfaceHas(t *testing.T) {
	_, err := Open(loopback("127.0.0.1:0", "192.0.2.1:0")) // TEST-NET-1
	var bind *BindError
	if !errors.As(err, &bind) || !errors.Is(err, syscall.EADDRNOTAVAIL) || bind.Hint() == "" {
		t.Errorf("got %v", err)
	}
}

func TestOpenRefusesABadConfiguration(t *testing.T) {
	limits := func(l Limits) Config { c := loopback("127.0.0.1:0"); c.Limits = l; return c }
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "listening: no address is given"},
		{Config{DNS: make([]netip.AddrPort, 1)}, "listening: address number 1 is empty"},
		{loopback("127.0.0.1:5335", "127.0.0.1:5335"), `listening: address "127.0.0.1:5335" is given twice`},
		{loopback("127.0.0.1:5335", "[::ffff:127.0.0.1]:5335"), `listening: address "127.0.0.1:5335" is given twice`},
		{loopback("0.0.0.0:5335", "[::]:5335", "127.0.0.1:5335"), `listening: address "127.0.0.1:5335" is part of "0.0.0.0:5335"`},
		{loopback("[::1]:5335", "[::]:5335"), `listening: address "[::1]:5335" is part of "[::]:5335"`},
		{Config{DNS: loopback("127.0.0.1:0").DNS, Loops: -1}, "listening: the number of loops is -1, it must be 0 to 1024"},
		{Config{DNS: loopback("127.0.0.1:0").DNS, Loops: 1025}, "listening: the number of loops is 1025, it must be 0 to 1024"},
		{Config{DNS: loopback("127.0.0.1:0").DNS, Spin: -1}, "listening: the time to spin is -1ns, it must be 0 to 1ms"},
		{Config{DNS: loopback("127.0.0.1:0").DNS, Spin: time.Second}, "listening: the time to spin is 1s, it must be 0 to 1ms"},
		{limits(Limits{Queue: 1000}), "limit Queue is 1000, it must be at least 65537"},
		{limits(Limits{Pipeline: -1}), "limit Pipeline is -1, it must be at least 1"},
		{limits(Limits{Idle: -time.Second}), "limit Idle is -1s, it must be more than 0"},
	} {
		if _, err := Open(c.cfg); err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %v", err, c.want)
		}
	}
}

func TestPacketsFromBeforeServeAreAnswered(t *testing.T) {
	s, err := Open(loopback("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	udp, tcp := dial(t, "udp", s.Addrs()[0]), dial(t, "tcp", s.Addrs()[0])
	udp.Write(query(1, ""))
	tcp.Write(appendFrame(nil, query(1, "")))
	serve(t, s, echo)
	receive(t, udp)
	receive(t, tcp)
}

// handedOver returns a UDP and a TCP socket on one port, as files.
func handedOver(t *testing.T) (netip.AddrPort, []*os.File) {
	t.Helper()
	given := inherited{}
	pc, l, err := bind(netip.MustParseAddrPort("127.0.0.1:0"), "4", &given)
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	defer l.Close()
	uf, err := pc.File()
	if err != nil {
		t.Fatal(err)
	}
	tf, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	return addrPort(l.Addr()), []*os.File{uf, tf}
}

func TestInheritedSocketsAreUsed(t *testing.T) {
	addr, files := handedOver(t)
	_, unused := handedOver(t)
	var log strings.Builder
	cfg := Config{
		DNS:       []netip.AddrPort{addr},
		Inherited: append(files, unused...),
		Loops:     4,
		Log:       slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if err := Free(cfg); err != nil {
		t.Errorf("what was handed over is not free: %v", err)
	}
	s := start(t, echo, cfg) // would fail, were it to bind anew
	ask(t, dial(t, "udp", addr), query(1, ""))
	ask(t, dial(t, "tcp", addr), appendFrame(nil, query(1, "")))
	if got := strings.Count(log.String(), "closing it"); got != 2 {
		t.Errorf("%d sockets warned about, want 2:\n%s", got, log.String())
	}
	if got := s.Addrs(); len(got) != 1 || got[0] != addr {
		t.Errorf("Addrs() = %v, want %v", got, addr)
	}
	if len(s.udp) != 1 {
		t.Errorf("%d UDP sockets, want the one that was handed over", len(s.udp))
	}
	for _, f := range append(files, unused...) {
		if f.Close() == nil {
			t.Errorf("%s was left open", f.Name())
		}
	}
}

func TestInheritedFileThatIsNoSocket(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	_, files := handedOver(t)
	_, err = Open(Config{DNS: loopback("127.0.0.1:0").DNS, Inherited: append(files, f)})
	if err == nil || !strings.Contains(err.Error(), "taking over socket") {
		t.Errorf("got %v", err)
	}
}

func TestActivatedFiles(t *testing.T) {
	const child = "ANANAS_TEST_SERVE_ACTIVATED"
	if addr := os.Getenv(child); addr != "" {
		// The child: systemd knows its process number, this test does not, so LISTEN_PID is made up here.
		files, err := ActivatedFiles(func(name string) string {
			return map[string]string{"LISTEN_PID": strconv.Itoa(os.Getpid()), "LISTEN_FDS": "2"}[name]
		}, os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{}, 2)
		s := start(t, func(p Packet, out []byte, r Reply) []byte {
			done <- struct{}{}
			return echo(p, out, r)
		}, Config{DNS: []netip.AddrPort{netip.MustParseAddrPort(addr)}, Inherited: files})
		<-done
		<-done
		s.Shutdown(context.Background())
		return
	}
	addr, files := handedOver(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestActivatedFiles$", "-test.count=1")
	cmd.Env = append(os.Environ(), child+"="+addr.String())
	cmd.ExtraFiles = files
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		f.Close()
	}
	ask(t, dial(t, "udp", addr), query(1, ""))
	ask(t, dial(t, "tcp", addr), appendFrame(nil, query(1, "")))
	if err := cmd.Wait(); err != nil {
		t.Errorf("the child: %v\n%s", err, out.String())
	}
}

func TestActivatedFilesOfTheEnvironment(t *testing.T) {
	for _, c := range []struct {
		pid, fds string
		fails    bool
	}{
		{"", "", false}, {"1", "2", false}, {"7", "", true}, {"7", "x", true}, {"7", "-1", true}, {"7", "129", true}, {"7", "0", false},
	} {
		files, err := ActivatedFiles(func(name string) string {
			return map[string]string{"LISTEN_PID": c.pid, "LISTEN_FDS": c.fds}[name]
		}, 7)
		if (err != nil) != c.fails || len(files) != 0 {
			t.Errorf("LISTEN_PID=%s LISTEN_FDS=%s: %d files, %v", c.pid, c.fds, len(files), err)
		}
	}
}
