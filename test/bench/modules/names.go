//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/test/bench/flood"
	"github.com/ananas-edge/ananas/test/bench/load"
)

// Facts that names are drawn by.
const (
	drawListed = iota
	drawAllowed
	drawOrder
	drawWhich
)

// tlds are all of one length, so that questions are.
var tlds = []string{"com", "net", "org", "xyz", "top", "biz", "app", "dev", "pro", "fun", "icu", "vip", "win", "bid", "lol"}

const letters = "abcdefghijklmnopqrstuvwxyz"

// registered makes up a name of 17 octets: another for each i.
func registered(fact, seed uint64, i int) string {
	var label [8]byte
	draw := load.Draw(seed, fact, uint64(i))
	for k := range label {
		label[k] = letters[draw%26]
		draw /= 26
	}
	return fmt.Sprintf("%s%05x.%s", label[:], i, tlds[draw%uint64(len(tlds))])
}

// listed is entry i of the list: every second one is the name of a host.
func listed(seed uint64, i int) string {
	name := registered(drawListed, seed, i)
	if i%2 == 1 {
		return "cdn." + name
	}
	return name
}

// set is what is asked.
type set struct {
	allowed int // questions for names that are not listed: the first ones of the file
	mixed   int // questions behind them, of which some are for listed names
	blocked int // so many
}

// writeQuestions writes what is asked, all of one size: n allowed names in no order; then n, one in ten of them listed or below a listed name, in no order.
func writeQuestions(path string, seed uint64, entries, n int) (s set, err error) {
	allowed := make([]string, n)
	for i := range allowed {
		allowed[i] = "www." + registered(drawAllowed, seed, i)
	}
	mixed := make([]string, n)
	copy(mixed, allowed)
	for i := 0; i < n; i += 10 {
		k := load.Below(load.Draw(seed, drawWhich, uint64(i)), entries)
		if mixed[i] = listed(seed, k); k%2 == 0 {
			mixed[i] = "www." + mixed[i]
		}
		s.blocked++
	}
	var out [][]byte
	for part, names := range [][]string{allowed, mixed} {
		for i := len(names) - 1; i > 0; i-- {
			j := load.Below(load.Draw(seed, drawOrder, uint64(part), uint64(i)), i+1)
			names[i], names[j] = names[j], names[i]
		}
		for _, name := range names {
			parsed, err := dns.ParseName(name)
			if err != nil {
				return s, err
			}
			out = append(out, dns.AppendQuestion(nil, 0, dns.FlagRD, dns.Question{Name: parsed, Type: dns.TypeA, Class: dns.ClassINET}, 0, false, nil))
		}
	}
	s.allowed, s.mixed = n, n
	return s, flood.WriteQuestions(path, out)
}

// writeList writes the list, each entry as a line of this format.
func writeList(path string, seed uint64, entries int, head, line string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	w.WriteString(head) // Flush tells of an error
	for i := range entries {
		fmt.Fprintf(w, line, listed(seed, i))
	}
	return w.Flush()
}
