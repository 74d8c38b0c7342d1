package zone

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// After a restart without a network the copy on disk serves, as long as it may.
func TestRestart(t *testing.T) {
	keep(t, world, func(k *keeper) {
		k.configure(1)
		k.sleep(2 * hour)
		k.expect(2026010101, "")
		alive := k.network
		k.set(func() {
			k.network = dialer(func(context.Context, netip.AddrPort) (net.Conn, error) { return nil, net.ErrClosed })
		})
		k.begin()
		k.Configure(k.s, "")
		k.expect(2026010101, "") // before anything was asked
		k.sleep(0)
		k.expect(2026010101, net.ErrClosed.Error())

		k.sleep(3 * day)
		k.begin() // its age is not forgotten
		k.configure(1)
		k.expect(2026010101, "3 days ago")
		k.sleep(5 * day)
		k.begin()
		k.configure(1)
		k.expect(0, "the copy of the root zone, serial 2026010101, was last known to be current 8 days ago")
		k.log("ERROR", "the local root is not used", 2) // it had become too old before, too

		k.set(func() { k.network = alive })
		k.sleep(15 * minute)
		k.expect(2026010101, "")

		// A clock that is not set yet: whether the copy is too old can't be told, until a server has said so.
		for _, wall := range []time.Time{time.Unix(0, 0), time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)} {
			k.set(func() { k.wall = func() time.Time { return wall } })
			k.begin()
			k.Configure(k.s, "")
			k.expect(0, "")
			k.lab.Forget()
			k.sleep(0)
			k.expect(2026010101, "")
			k.asked(dns.TypeAXFR, 0)
		}
		// Nor is it known later when that was.
		k.set(func() { k.wall = time.Now })
		k.begin()
		k.Configure(k.s, "")
		k.expect(0, "")
	})
}

// A copy on disk that is damaged, or signed by nobody who is trusted now, is not used.
func TestRestartWithAnotherCopy(t *testing.T) {
	keep(t, world, func(k *keeper) {
		k.configure(1)
		k.expect(2026010100, "")
		good, err := os.ReadFile(filepath.Join(k.folder, CopyFile))
		if err != nil {
			t.Fatal(err)
		}
		k.set(func() {
			k.network = dialer(func(context.Context, netip.AddrPort) (net.Conn, error) { return nil, net.ErrClosed })
		})
		again := func(b []byte, serial uint32, log string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(k.folder, CopyFile), b, 0o600); err != nil {
				t.Fatal(err)
			}
			k.set(k.logged.Reset)
			k.begin()
			k.Configure(k.s, "")
			k.expect(serial, "")
			if log != "" {
				k.log("WARN", log, 1)
			}
		}
		again(good, 2026010100, "")
		again(good[:len(good)/2], 0, errCopySum.Error())
		again(nil, 0, errCopyMagic.Error())
		flipped := bytes.ReplaceAll(good, []byte{192, 0, 2, 4}, []byte{192, 0, 2, 66})
		again(flipped, 0, errCopySum.Error())
		again(sealCopy(flipped, time.Now()), 0, "its digest does not fit") // by somebody who can compute checksums

		k.set(func() { k.table = table(t, k.anchors, func(s *recurse.Settings) { s.TrustAnchors = "none" }) })
		again(good, 2026010100, "what the local root is worth: validation is off")
		k.s.AXFR[0] = netip.MustParseAddrPort("192.0.2.2:53")
		again(good, 0, "") // nobody knows whose it is
		k.set(func() { k.table = table(t, k.anchors) })
		again(good, 2026010100, "") // it is signed, whoever gave it
		k.s.AXFR, k.s.File = nil, "x"
		k.Configure(k.s, filepath.Join(k.folder, "x"))
		k.expect(0, "no such file")
	})
}

// A process that is killed while it writes leaves the old copy, and no rest.
func TestRestartAfterKill(t *testing.T) {
	keep(t, world, func(k *keeper) {
		k.configure(1)
		rest := filepath.Join(k.folder, "."+CopyFile+"-123")
		if err := os.WriteFile(rest, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		k.begin()
		k.Configure(k.s, "")
		k.expect(2026010100, "")
		if _, err := os.Stat(rest); err == nil {
			t.Error("the rest is still there")
		}
	})
	// A folder in which nothing can be written costs the copy on disk, and is told.
	keep(t, world, func(k *keeper) {
		k.folder = filepath.Join(k.folder, "nowhere")
		k.begin()
		k.configure(1)
		k.expect(2026010100, "can't be written down, so that the next start needs the network")
		k.log("WARN", "can't be written down", 1)
	})
}

func TestFile(t *testing.T) {
	keep(t, world, func(k *keeper) {
		write := func(serial string, age time.Duration) string {
			return k.file(strings.ReplaceAll(unsigned, "2026010100", serial), age)
		}
		k.set(func() { k.table = table(t, k.anchors, func(s *recurse.Settings) { s.TrustAnchors = "none" }) })
		k.s.File = "root.zone"
		path := filepath.Join(k.folder, "root.zone")
		k.Configure(k.s, path)
		k.expect(0, "put the root zone into")
		write("2026010100", 0)
		k.sleep(minute)
		k.expect(2026010100, "") // a file that was missing is looked for
		write("2026010101", 0)
		k.Configure(k.s, path)
		k.expect(2026010101, "") // at a reload
		write("2026010102", 0)
		k.sleep(20 * minute)
		k.expect(2026010101, "")
		k.sleep(10 * minute)
		k.expect(2026010102, "") // at the interval of the SOA record
		write("2026010099", 0)
		k.sleep(30 * minute)
		k.expect(2026010099, "") // the file is the operator's word
		k.log("WARN", "older root zone than before", 1)

		// What can't be used does not take the place of what can.
		k.file("nonsense", 0)
		k.sleep(30 * minute)
		k.expect(2026010099, "reading records of")
		k.metric(`ananas_local_root_refreshes_total{result="failed"} 2`)
		write("2026010103", 0)
		k.sleep(15 * minute)
		k.expect(2026010103, "")

		// The age is that of the file.
		k.sleep(6 * day)
		k.expect(2026010103, "")
		k.sleep(day)
		k.expect(0, "was written 7 days ago, and a copy is used for 7 days; see that what fetches")
		write("2026010103", hour) // fetched anew, and still the same
		k.sleep(15 * minute)
		k.expect(2026010103, "")
		write("2026010103", 8*day)
		k.Configure(k.s, path)
		k.expect(0, "was written 8 days ago")
		write("2026010103", -100*day) // in the future: it counts from when it was first read
		k.begin()
		k.Configure(k.s, path)
		k.expect(2026010103, "")
		k.sleep(8 * day)
		k.expect(0, "was written 8 days ago")
	})
	// A file that is not signed, though it should be; and none that could be read.
	keep(t, world, func(k *keeper) {
		k.s.File = "root.zone"
		k.Configure(k.s, k.file(unsigned, 0))
		k.expect(0, ". has no DNSKEY")
		k.log("ERROR", "fetch", 1)
		k.metric(`ananas_local_root_refreshes_total{result="refused"} 1`)
		k.Configure(k.s, k.file(strings.Repeat(";", maxOctets+1), 0))
		k.expect(0, "octets")
		k.Configure(k.s, k.folder)
		k.expect(0, "is a directory")
	})
}
