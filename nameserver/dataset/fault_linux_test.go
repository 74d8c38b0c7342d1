package dataset

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/dns"
)

// A mapped file that is cut short, which is what a page that the disk can't give looks like, makes misses and an error, and does not end the process.
func TestUnreadablePage(t *testing.T) {
	list := newRealistic(8).list(2000)
	b, _, err := Build(strings.NewReader(strings.Join(list, "\n")), Options{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	n := dns.MustParseName(list[0])
	if _, ok := s.Exact(n); !ok || s.Err() != nil {
		t.Fatalf("found %v: %v", ok, s.Err())
	}
	if err := os.Truncate(path, headerLen); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range list {
		if _, ok := s.Suffix(dns.MustParseName(name)); ok {
			found++
		}
	}
	var fault *FaultError
	if !errors.As(s.Err(), &fault) || fault.Hint() == "" {
		t.Errorf("%v", s.Err())
	}
	if found == len(list) {
		t.Errorf("all names were found in a file that is gone")
	}
	s.Prefix(netip.MustParseAddr("192.0.2.1"))
}
