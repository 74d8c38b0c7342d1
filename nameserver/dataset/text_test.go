package dataset

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ananas-edge/ananas/dns"
)

// testdata/*.txt are cases: "== name", the text of a list, "----", and what is expected: the error and its hint, or the format, counts, and
// answers to the questions that are written there.
func TestCases(t *testing.T) {
	var written strings.Builder
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range strings.Split("\n"+string(b), "\n== ")[1:] {
			name, rest, _ := strings.Cut(c, "\n")
			text, want, ok := strings.Cut(rest, "----\n")
			if !ok {
				t.Fatalf("%s: %s: no line of dashes", file, name)
			}
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+name, func(t *testing.T) {
				want := strings.TrimSpace(want)
				got := strings.TrimSpace(outcome(t, text, want))
				if fmt.Fprintf(&written, "== %s\n%s----\n%s\n\n", name, text, got); got != want && !*update {
					t.Errorf("got:\n%s\nwant:\n%s", got, want)
				}
			})
		}
		if *update {
			if err := os.WriteFile(file, []byte(strings.TrimSuffix(written.String(), "\n")), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		written.Reset()
	}
}

var update = flag.Bool("update", false, "write what is found into testdata, to be read before it is committed")

// outcome builds the list (its first line may give options: "options: tolerate=1 value=7 format=hosts") and asks what want asks.
func outcome(t *testing.T, text, want string) string {
	var o Options
	if rest, ok := strings.CutPrefix(text, "options: "); ok {
		var line string
		line, text, _ = strings.Cut(rest, "\n")
		for _, f := range strings.Fields(line) {
			k, v, _ := strings.Cut(f, "=")
			n, _ := strconv.Atoi(v)
			switch k {
			case "tolerate":
				o.Tolerate = n
			case "value":
				o.Value = uint8(n)
			case "entries":
				o.Limits.Entries = n
			case "line":
				o.Limits.Line = n
			case "source":
				o.Limits.Source = int64(n)
			case "format":
				var err error
				if o.Format, err = ParseFormat(v); err != nil {
					t.Fatal(err)
				}
			default:
				t.Fatalf("no option %q", k)
			}
		}
	}
	b, info, err := Build(strings.NewReader(text), o)
	if err != nil {
		var h interface{ Hint() string }
		if !errors.As(err, &h) {
			return fmt.Sprint("error: ", err)
		}
		return fmt.Sprintf("error: %v\nhint: %s", err, h.Hint())
	}
	s, err := Load(b)
	if err != nil {
		t.Fatal(err)
	}
	out := fmt.Sprintf("%v: names %d prefixes %d taken %d skipped %d others %d duplicates %d bad %d\n", info.Format, info.Names, info.Prefixes,
		info.Taken, info.Skipped, info.OtherTriggers, info.Duplicates, info.Bad)
	for _, r := range s.Info().Remarks("l") {
		out += fmt.Sprintf("remark: %s; %s\n", r.Text, r.Hint)
	}
	for q := range strings.SplitSeq(want, "\n") {
		what, rest, _ := strings.Cut(q, " ")
		subject, _, _ := strings.Cut(rest, " ->")
		answer := "-"
		switch what {
		case "exact":
			if v, ok := s.Exact(dns.MustParseName(subject)); ok {
				answer = show(info.Format, v)
			}
		case "suffix":
			if m, ok := s.Suffix(dns.MustParseName(subject)); ok {
				answer = fmt.Sprint(show(info.Format, m.Value), " at ", m.Labels)
			}
		case "prefix":
			if m, ok := s.Prefix(netip.MustParseAddr(subject)); ok {
				answer = fmt.Sprint(m.Value, " /", m.Bits)
			}
		default:
			continue
		}
		out += fmt.Sprintf("%s %s -> %s\n", what, subject, answer)
	}
	return out
}

func show(f Format, v uint8) string {
	if f == RPZ {
		return Action(v).String()
	}
	return fmt.Sprint(v)
}

// The same text gives the same octets, however it comes; another text, or another way to read it, another key.
func TestBuildRepeats(t *testing.T) {
	text := strings.Join(newRealistic(5).list(3000), "\n")
	a, info, err := Build(strings.NewReader(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := Build(iotest.HalfReader(strings.NewReader(text)), Options{})
	if err != nil || !slices.Equal(a, b) {
		t.Errorf("%v: the second is another", err)
	}
	_, other, err := Build(strings.NewReader(text+"\n"), Options{})
	if err != nil || other.Source == info.Source {
		t.Errorf("%v: %x", err, other.Source)
	}
}

// An error of whoever brings the text is passed on, with the line that it came at.
func TestReadError(t *testing.T) {
	broken := io.MultiReader(strings.NewReader("example.com\nexample.net\n"), iotest.ErrReader(io.ErrUnexpectedEOF))
	_, _, err := Build(broken, Options{})
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "line 3") {
		t.Error(err)
	}
}

// Names that were made to meet in one bucket are refused, not looked up slowly. The seed goes by the text, so they are made for the compiler here.
func TestCrowded(t *testing.T) {
	c := new(compiler)
	seeds := []uint64{1, fold(1), fold(fold(1)), fold(fold(fold(1)))}
	const buckets = 1024 // more than there will be, so that what goes to the first of these goes to the first of those
	crowd := crowding(seeds, buckets)
	for _, seed := range seeds {
		for range bucketLimit + 1 {
			c.addName(crowd(seed), self, 0)
		}
	}
	for i := c.count; i < 4096; i++ {
		n := fmt.Sprintf("x%d", i)
		c.addName(append([]byte{byte(len(n))}, n...), self, 0)
	}
	if _, err := c.compileNames(1); !errors.Is(err, errCrowded) {
		t.Errorf("%v", err)
	}
	if _, err := c.compileNames(2); err != nil {
		t.Errorf("with another seed: %v", err)
	}
}

// crowding returns a source of names that go to the first bucket for a seed.
func crowding(seeds []uint64, buckets uint64) func(seed uint64) []byte {
	next := make(map[uint64]func() ([]byte, bool))
	for _, seed := range seeds {
		next[seed], _ = iter.Pull(func(yield func([]byte) bool) {
			for i := 0; ; i++ {
				n := fmt.Sprintf("%x-%d", uint16(seed), i)
				w := append([]byte{byte(len(n))}, n...)
				h, _ := hashName(seed, string(w))
				if b, _ := place(h, buckets); b == 0 && !yield(w) {
					return
				}
			}
		})
	}
	return func(seed uint64) []byte {
		b, _ := next[seed]()
		return b
	}
}
