//go:build linux

package main

import (
	"errors"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// What must not be is counted: lost queries, answers by neither version, and by one that was replaced before the question was sent; what was sent before may be answered so.
func TestWatch(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	answer := func(v byte) []byte {
		q := dns.Question{Name: dns.MustParseName("n1.swap.example"), Type: dns.TypeA, Class: dns.ClassINET}
		b := dns.AppendQuestion(nil, 1, dns.FlagQR, q, 0, false, nil)
		b[7] = 1 // an answer: the name again, A, IN, its TTL, four octets
		return append(b, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, v)
	}
	w := &watch{expected: 1, newest: 1}
	note := func(sent, came int, b []byte, err error, want int) {
		t.Helper()
		if got := w.note("n1", at(sent), at(came), b, err); got != want {
			t.Errorf("version %d, want %d: %s", got, want, w.example)
		}
	}
	note(0, 1, answer(1), nil, 1)
	note(1, 2, answer(2), nil, 0) // not pushed yet
	w.expect(2)
	note(2, 3, answer(1), nil, 1)
	note(3, 6, answer(2), nil, 2)
	note(4, 7, answer(1), nil, 1) // it was under way
	if got := w.swapped(2); !got.Equal(at(7)) {
		t.Errorf("swapped at %v", got)
	}
	if w.neither != 1 || w.back != 0 || w.lost != 0 {
		t.Errorf("%+v", w)
	}
	note(8, 9, answer(1), nil, 1) // it was not
	note(9, 10, nil, errors.New("i/o timeout"), 0)
	note(10, 11, answer(1)[:20], nil, 0)
	if w.neither != 2 || w.back != 1 || w.lost != 1 || w.asked != 8 {
		t.Errorf("%+v", w)
	}
}
