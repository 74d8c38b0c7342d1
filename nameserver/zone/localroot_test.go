package zone

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/lab"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/telemetry"
)

// booted is what the boot clock of these tests shows at their start.
const booted = time.Minute

const (
	minute = time.Minute
	hour   = time.Hour
	day    = 24 * time.Hour
)

// keeper is a local root in a lab, on fake time, with all that one wants to look at.
type keeper struct {
	*LocalRoot
	t       *testing.T
	lab     *lab.Lab
	folder  string
	anchors string
	metrics *telemetry.Metrics
	s       recurse.LocalRootSettings
	started bool
	asleep  atomic.Int64 // how long the machine was suspended

	mu      sync.Mutex // guards what follows, which the local root reads in a goroutine of its own
	logged  bytes.Buffer
	network Dialer
	wall    func() time.Time
	table   *recurse.Table
}

// set changes what the local root finds around it.
func (k *keeper) set(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

// get reads it.
func get[T any](k *keeper, v *T) T {
	k.mu.Lock()
	defer k.mu.Unlock()
	return *v
}

// Write is the log.
func (k *keeper) Write(b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.logged.Write(b)
}

func (k *keeper) text() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.logged.String()
}

// keep runs f in a bubble of fake time, with a lab of this world; nothing is configured yet.
func keep(t *testing.T, world string, f func(k *keeper)) {
	folder := t.TempDir() // its removal is no business of the bubble
	synctest.Test(t, func(t *testing.T) {
		w, err := lab.ParseWorld(world)
		if err != nil {
			t.Fatal(err)
		}
		l, err := lab.New(lab.Config{Seed: 1, World: w, Log: 1000})
		if err != nil {
			t.Fatal(err)
		}
		n := l.Network()
		defer n.Close()
		k := &keeper{t: t, lab: l, network: n, folder: folder, anchors: l.TrustAnchors(), wall: time.Now}
		k.set(func() { k.table = table(t, k.anchors) })
		k.begin()
		defer func() { k.Close() }()
		f(k)
	})
}

// begin begins anew, as after a restart; nothing is asked until time goes on.
func (k *keeper) begin() {
	if k.LocalRoot != nil {
		k.Close()
	}
	k.started = false
	start := time.Now()
	k.metrics = telemetry.NewMetrics()
	n := uint64(0)
	k.LocalRoot = NewLocalRoot(Config{
		Network: dialer(func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
			return get(k, &k.network).DialTCP(ctx, a)
		}),
		Clock:  recurse.Clock{Boot: func() time.Duration { return booted + time.Since(start) + time.Duration(k.asleep.Load()) }, Wall: func() time.Time { return get(k, &k.wall)() }},
		Random: func() uint64 { n += 7919; return n },
		Folder: k.folder, Metrics: k.metrics, Log: slog.New(slog.NewTextHandler(k, nil)),
		Table:        func() *recurse.Table { return get(k, &k.table) },
		ClockTrusted: func() bool { return get(k, &k.wall)().Year() > 1990 },
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

type dialer func(context.Context, netip.AddrPort) (net.Conn, error)

func (d dialer) DialTCP(ctx context.Context, a netip.AddrPort) (net.Conn, error) { return d(ctx, a) }

// configure takes servers, by the last octet of their address, and lets the first attempt end.
func (k *keeper) configure(servers ...int) {
	k.s.AXFR = nil
	for _, n := range servers {
		k.s.AXFR = append(k.s.AXFR, netip.MustParseAddrPort(fmt.Sprintf("192.0.2.%d:53", n)))
	}
	k.Configure(k.s, "")
	k.sleep(0)
}

// file names a file, with its text and its age.
func (k *keeper) file(text string, age time.Duration) string {
	path := filepath.Join(k.folder, "root.zone")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
	when := time.Now().Add(-age)
	if err := os.Chtimes(path, when, when); err != nil {
		k.t.Fatal(err)
	}
	return path
}

// sleep lets time go on, and what is due then be done; a connection and a transfer take less than a second.
func (k *keeper) sleep(d time.Duration) {
	if !k.started {
		k.started = true
		k.Start()
	}
	time.Sleep(d + time.Second)
	synctest.Wait()
}

// expect compares the serial in use, 0 for none, and what the node's health says.
func (k *keeper) expect(serial uint32, warning string) {
	k.t.Helper()
	got := uint32(0)
	reply, about, ok := k.Ask(dns.Question{Name: dns.Root, Type: dns.TypeSOA, Class: dns.ClassINET})
	if ok {
		var m dns.Message
		if err := dns.Parse(reply, &m); err != nil {
			k.t.Fatal(err)
		}
		soa, err := dns.ParseSOA(m.Sections[dns.Answer][0].Data)
		if err != nil {
			k.t.Fatal(err)
		}
		if got = soa.Serial; about != fmt.Sprintf("the local root, serial %d", got) {
			k.t.Errorf("serial %d is about %q", got, about)
		}
	}
	if ok != k.Usable() {
		k.t.Errorf("asked: %v, usable: %v", ok, k.Usable())
	}
	if got != serial {
		k.t.Errorf("serial %d is in use, want %d\n%s", got, serial, k.text())
	}
	if w := k.Warning(); w == "" != (warning == "") || !strings.Contains(w, warning) {
		k.t.Errorf("warning %q, want %q\n%s", w, warning, k.text())
	}
}

// log compares how often a text was logged, and empties the log.
func (k *keeper) log(level, text string, times int) {
	k.t.Helper()
	n := 0
	for line := range strings.Lines(k.text()) {
		if strings.Contains(line, "level="+level) && strings.Contains(line, text) {
			n++
		}
	}
	if n != times {
		k.t.Errorf("%q was logged %d times at level %s, not %d:\n%s", text, n, level, times, k.text())
	}
	k.set(k.logged.Reset)
}

// asked compares how many questions of a type all servers got since the last time.
func (k *keeper) asked(typ dns.Type, times int) {
	k.t.Helper()
	if n := k.lab.Asked(dns.Root, typ); n != times {
		k.t.Errorf("%v was asked %d times, not %d", typ, n, times)
	}
	k.lab.Forget()
}

func (k *keeper) metric(line string) {
	k.t.Helper()
	w := httptest.NewRecorder()
	k.metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if !slices.Contains(strings.Split(w.Body.String(), "\n"), line) {
		var own []string
		for l := range strings.Lines(w.Body.String()) {
			if strings.HasPrefix(l, "ananas_local_root") {
				own = append(own, l)
			}
		}
		k.t.Errorf("no line %q in\n%s", line, strings.Join(own, ""))
	}
}

// world is a root that gets serial 2026010101 after 100 minutes; servers 1 to 3 have it.
const world = `
[defaults]
latency 20ms
[zone . servers=192.0.2.1,192.0.2.2,192.0.2.3 zonemd=sha384]
@ 3600 SOA ns1 hostmaster 2026010100 1800 900 604800 3600
[zone . from=100m servers=192.0.2.1,192.0.2.2,192.0.2.3 zonemd=sha384]
@ 3600 SOA ns1 hostmaster 2026010101 1800 900 604800 3600
@ NS ns1
ns1 A 192.0.2.1
[zone test servers=192.0.2.4]
www A 192.0.2.80
`

// The timers of the SOA record: its serial is asked for after 27 to 30 minutes, the zone only when the serial is newer.
func TestRefresh(t *testing.T) {
	keep(t, world, func(k *keeper) {
		k.expect(0, "")
		k.metric(`ananas_local_root_state{state="off"} 1`)
		k.configure(1)
		k.expect(2026010100, "")
		k.asked(dns.TypeAXFR, 1)
		k.metric(`ananas_local_root_serial 2.0260101e+09`)
		k.metric(`ananas_local_root_state{state="serving"} 1`)
		k.metric(`ananas_local_root_refreshes_total{result="loaded"} 1`)
		k.log("INFO", "the root zone is held here", 1)
		k.sleep(26 * minute)
		k.asked(dns.TypeSOA, 0)
		k.sleep(4 * minute)
		k.asked(dns.TypeSOA, 1)
		k.asked(dns.TypeAXFR, 0)
		k.sleep(60 * minute)
		k.expect(2026010100, "")
		k.asked(dns.TypeSOA, 2)
		k.metric(`ananas_local_root_refreshes_total{result="current"} 3`)
		k.sleep(30 * minute)
		k.expect(2026010101, "")
		k.asked(dns.TypeAXFR, 1)
		k.log("INFO", "serial=2026010101", 1)
		k.metric(`ananas_local_root_answers_total 3`)
	})
}

// A copy that nobody has confirmed for as long as its SOA record says is not used from that moment on, and is again as soon as somebody has.
func TestExpires(t *testing.T) {
	dead := world + "[server 192.0.2.1]\nfault drop from=1m until=200h\n"
	keep(t, strings.ReplaceAll(dead, "from=100m", "from=9000h"), func(k *keeper) {
		k.configure(1)
		k.expect(2026010100, "")
		k.sleep(2 * hour)
		k.expect(2026010100, "serial 2026010100, was last known to be current 2h0m0s ago, and is used for another 6 days: dial tcp 192.0.2.1:53")
		k.expect(2026010100, "see that TCP to the servers in recursion.local_root.axfr is possible")
		k.sleep(7*day - 2*hour - 10*time.Second)
		k.expect(2026010100, "is used for another 0s")
		k.log("ERROR", "", 0)
		time.Sleep(8 * time.Second)
		k.expect(0, "the local root is not used") // at once
		k.sleep(minute)
		k.expect(0, "the local root is not used, and the root servers are asked: the copy of the root zone, serial 2026010100, was last known to be current 7 days ago")
		k.metric(`ananas_local_root_state{state="expired"} 1`)
		k.sleep(day)
		k.log("ERROR", "the local root is not used, and the root servers are asked", 1)
		k.lab.Forget()
		k.sleep(8*hour + 15*minute) // the server is back
		k.expect(2026010100, "")
		k.asked(dns.TypeAXFR, 0)
		k.log("INFO", "the root zone is held here", 1)
	})
}

// max_age cuts the life of a copy, and has it looked at often enough to live.
func TestMaxAge(t *testing.T) {
	dead := world + "[server 192.0.2.1]\nfault drop from=30m\n"
	keep(t, dead, func(k *keeper) {
		k.s.MaxAge = 10 * minute
		k.configure(1)
		k.sleep(29 * minute)
		k.expect(2026010100, "")
		k.sleep(15 * minute)
		k.expect(0, "the local root is not used")
	})
}

// What is not the owner's is refused, whoever gives it; another server may do better.
func TestTampered(t *testing.T) {
	bad := world + "[server 192.0.2.1]\nfault transfer as=tamper\n[server 192.0.2.2]\nfault transfer as=strip\n"
	keep(t, bad, func(k *keeper) {
		k.configure(1, 2)
		k.expect(0, "the local root is not used, and the root servers are asked: there is no copy of the root zone; the root zone that 192.0.2.2:53 gives can't be used: "+errHiddenDigest.Error())
		k.expect(0, "find out who changed what these give")
		k.metric(`ananas_local_root_state{state="empty"} 1`)
		k.metric(`ananas_local_root_refreshes_total{result="refused"} 2`)
		k.log("ERROR", "the local root is not used", 1)
		k.asked(dns.TypeAXFR, 2)
		k.sleep(minute)
		k.asked(dns.TypeAXFR, 2)
		k.sleep(minute)
		k.asked(dns.TypeAXFR, 0) // the second wait is twice the first
		k.configure(1, 2, 3)
		k.expect(2026010100, "")
		k.lab.Forget()
		k.sleep(30 * minute)
		k.asked(dns.TypeSOA, 1) // the third server is asked first from now on
		k.sleep(day)
		k.expect(2026010101, "")
	})
	// What is in use goes on when a newer one is refused.
	keep(t, world+"[server 192.0.2.1]\nfault transfer as=tamper from=1m\n", func(k *keeper) {
		k.configure(1)
		k.sleep(3 * hour)
		k.expect(2026010100, "can't be used: its digest does not fit")
	})
}

func TestSerialGoesBackwards(t *testing.T) {
	back := strings.ReplaceAll(world, "2026010101", "2026010099")
	keep(t, back, func(k *keeper) {
		k.configure(1, 2)
		k.sleep(2 * hour)
		k.expect(2026010100, "192.0.2.2:53 has serial 2026010099, which is older than 2026010100")
		k.lab.Forget()
		k.sleep(day)
		k.asked(dns.TypeAXFR, 0)
		k.sleep(7 * day) // a copy that is too old is no better than none
		k.expect(2026010099, "")
	})
	// A server that lies about its serial.
	keep(t, back+"[reply server=192.0.2.1 name=. type=SOA from=1m]\npacket\nanswer . 3600 SOA ns1. hostmaster. 2026010101 1800 900 604800 3600\n", func(k *keeper) {
		k.configure(1)
		k.sleep(2 * hour)
		k.expect(2026010100, "it has serial 2026010099, which is older")
	})
}

func TestTransfersThatEndEarly(t *testing.T) {
	const generated = "[generate zones=100 hosts=100]\n[server name=a.root-servers.net]\nfault transfer n=3 %s\n"
	for how, want := range map[string]string{
		"as=cut":   "message 4: " + errIncomplete.Error(),
		"as=stall": "message 4: ",
	} {
		keep(t, fmt.Sprintf(generated, how), func(k *keeper) {
			k.s.AXFR = []netip.AddrPort{netip.MustParseAddrPort("198.41.0.4:53")}
			k.Configure(k.s, "")
			k.sleep(idleTime)
			k.expect(0, want)
			k.s.AXFR = append(k.s.AXFR, netip.MustParseAddrPort("192.5.5.241:53"))
			k.Configure(k.s, "")
			k.sleep(2 * idleTime)
			k.expect(2026010100, "")
		})
	}
	// A message that comes octet by octet takes longer than a message may, and a message at a time longer than all of them may.
	keep(t, world+"[server 192.0.2.1]\nfault tcp-drip by=1s\n", func(k *keeper) {
		k.configure(1, 2)
		k.sleep(idleTime)
		k.expect(2026010100, "")
		k.log("WARN", "i/o timeout", 1)
	})
	keep(t, world, func(k *keeper) {
		k.network = pipe(func(c net.Conn) { // nothing runs yet
			question := make([]byte, 100)
			for n := 0; ; n++ {
				if n < 2 {
					if _, err := c.Read(question); err != nil {
						return
					}
				}
				m := new(miekg.Msg)
				m.SetQuestion(".", []uint16{miekg.TypeSOA, miekg.TypeAXFR}[min(n, 1)])
				m.Id, m.Response, m.Authoritative = binary.BigEndian.Uint16(question[2:]), true, true
				text := ". SOA . . 1 1 1 1 1"
				if n > 1 {
					text = fmt.Sprintf("tld%d. NS .", n)
				}
				m.Answer = []miekg.RR{must(miekg.NewRR(text))}
				if _, err := c.Write(stream(must(m.Pack()))); err != nil {
					return
				}
				time.Sleep(idleTime - time.Second)
			}
		})
		k.configure(1)
		k.sleep(transferTime)
		k.sleep(idleTime) // the server notices
		k.expect(0, limitTime.Error())
		k.metric(`ananas_local_root_limits_total{limit="time"} 1`)
	})
}

// Servers that do not serve the zone, or do not give it.
func TestServersThatRefuse(t *testing.T) {
	for fault, want := range map[string]string{
		"fault refused type=AXFR":  "transferring the root from 192.0.2.1:53: message 1: its response code is REFUSED",
		"fault refused":            "asking 192.0.2.1:53 for the SOA record of the root: its response code is REFUSED",
		"fault no-aa":              errNoAA.Error(),
		"fault tcp-refuse":         "connection refused",
		"fault tcp-close":          errIncomplete.Error(),
		"fault wrong-id":           errNotReply.Error(),
		"fault garbage":            "asking 192.0.2.1:53 for the SOA record of the root: ",
		"fault truncate as=always": errTruncated.Error(),
		"fault drop":               "dial tcp 192.0.2.1:53",
	} {
		keep(t, world+"[server 192.0.2.1]\n"+fault+"\n", func(k *keeper) {
			k.configure(1)
			k.sleep(10 * time.Second)
			k.expect(0, want)
		})
	}
}

// While the digest and the anchors of settings change, what is held is looked at again.
func TestReload(t *testing.T) {
	keep(t, strings.ReplaceAll(world, "zonemd=sha384", ""), func(k *keeper) {
		k.configure(1)
		k.expect(2026010100, "")
		k.log("WARN", "it has no ZONEMD record", 1)
		k.s.ZONEMD = recurse.ZONEMDRequired
		k.configure(1)
		k.expect(0, errNoDigest.Error())
		k.s.ZONEMD = recurse.ZONEMDOff
		k.configure(1)
		k.expect(2026010100, "")
		k.lab.Forget()
		k.configure(1) // the same settings: asked at once
		k.asked(dns.TypeSOA, 1)
		k.configure(2, 3) // the copy is signed, so it does not matter who gave it
		k.expect(2026010100, "")
		k.asked(dns.TypeAXFR, 0)
		k.s = recurse.LocalRootSettings{}
		k.configure()
		k.expect(0, "")
		k.metric(`ananas_local_root_state{state="off"} 1`)
		k.sleep(day)
		k.asked(dns.TypeSOA, 0)
	})
	// Other trust anchors are noticed at the next refresh.
	keep(t, world, func(k *keeper) {
		k.configure(1)
		k.set(func() { k.table = table(t, ". DS 1 13 2 "+strings.Repeat("00", 32)+"\n") })
		k.sleep(30 * minute)
		k.sleep(8 * day)
		k.expect(0, "no DNSKEY of . fits")
	})
	// Both families off that the servers have.
	keep(t, world, func(k *keeper) {
		k.set(func() { k.table = table(t, k.anchors, func(s *recurse.Settings) { s.IPv4 = false }) })
		k.configure(1)
		k.expect(0, errNoServer.Error())
	})
}

// A fault of the program costs an attempt.
func TestPanic(t *testing.T) {
	keep(t, world, func(k *keeper) {
		alive := k.network
		k.set(func() { k.network = dialer(func(context.Context, netip.AddrPort) (net.Conn, error) { panic("a bug") }) })
		k.configure(1)
		k.expect(0, "a fault of this program; crash report unrecorded")
		k.set(func() { k.network = alive })
		k.sleep(minute)
		k.expect(2026010100, "")
	})
}

// A machine that sleeps: timers of the system stand still, boot time does not.
func TestSuspend(t *testing.T) {
	keep(t, world, func(k *keeper) {
		k.configure(1)
		k.expect(2026010100, "")
		k.lab.Forget()
		k.asleep.Store(int64(hour))
		k.sleep(longestSleep)
		k.asked(dns.TypeSOA, 1)
		k.asleep.Add(int64(9 * day))
		k.expect(0, "")
		k.sleep(longestSleep)
		k.expect(2026010100, "")
	})
}
