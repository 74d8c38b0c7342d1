//go:build ignore

// Reduce makes tlds.txt.gz out of a root zone:
//
//	go run reduce.go ROOT.ZONE.GZ > tlds.txt.gz
//
// It keeps the names of the top-level domains, their name servers and the addresses of those, and drops keys, signatures
// and TTLs, since the lab signs for itself. The root's own servers are in named.root, which is newer.
package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run reduce.go ROOT.ZONE.GZ > tlds.txt.gz")
		os.Exit(2)
	}
	if err := reduce(os.Args[1], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func reduce(zone string, w io.Writer) error {
	f, err := os.Open(zone)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("reading %q: %w", zone, err)
	}
	facts := map[string][]string{} // "tld NAME" or "host NAME" -> servers or addresses
	add := func(key, value string) {
		if !slices.Contains(facts[key], value) {
			facts[key] = append(facts[key], value)
		}
	}
	p := dns.NewZoneParser(z, ".", "")
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		owner := strings.ToLower(strings.TrimSuffix(rr.Header().Name, "."))
		if owner == "" || strings.HasSuffix(owner, ".root-servers.net") {
			continue
		}
		switch rr := rr.(type) {
		case *dns.NS:
			add("tld "+owner, strings.ToLower(strings.TrimSuffix(rr.Ns, ".")))
		case *dns.A:
			add("host "+owner, rr.A.String())
		case *dns.AAAA:
			add("host "+owner, rr.AAAA.String())
		}
	}
	if err := p.Err(); err != nil {
		return fmt.Errorf("reading %q: %w", zone, err)
	}

	var lines []string
	for key, values := range facts {
		slices.Sort(values)
		lines = append(lines, key+" "+strings.Join(values, " "))
	}
	slices.Sort(lines)
	out, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	for _, line := range lines {
		fmt.Fprintln(out, line)
	}
	return out.Close()
}
