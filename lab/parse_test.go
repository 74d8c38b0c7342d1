package lab

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

func TestBadWorlds(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/worlds/bad.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range archive.Files {
		t.Run(f.Name, func(t *testing.T) {
			text := string(f.Data)
			want, _, _ := strings.Cut(text, "\n")
			want = strings.TrimPrefix(want, "# want: ")
			w, err := ParseWorld(text)
			if err == nil {
				_, err = New(Config{World: w})
			}
			if err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if where := (*ParseError)(nil); !errors.As(err, &where) || where.Line < 1 {
				t.Error("the error names no line")
			}
		})
	}
}

// Whatever the text: an error with a line, or a world that makes a lab that answers.
func FuzzParseWorld(f *testing.F) {
	f.Add(DefaultWorld)
	f.Add(memoryWorld)
	f.Add(wellKnown)
	bad, err := txtar.ParseFile("testdata/worlds/bad.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, b := range bad.Files {
		f.Add(string(b.Data))
	}
	for _, file := range []string{"faults", "scripts", "variants", "nsec3"} {
		a, err := txtar.ParseFile("testdata/answers/" + file + ".txt")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(a.Comment))
	}
	f.Fuzz(func(t *testing.T, text string) {
		w, err := ParseWorld(text)
		var where *ParseError
		if err != nil && (!errors.As(err, &where) || where.Line < 1 || where.Line > strings.Count(text, "\n")+1) {
			t.Fatalf("error without a line of the text: %v", err)
		}
		if err != nil || strings.Contains(text, "generate") || strings.Contains(text, "$GENERATE") || strings.Contains(text, "alg") {
			return // a lab of its own for each input is too slow with these
		}
		l, err := New(Config{World: w})
		if err != nil {
			return
		}
		servers := slices.SortedFunc(maps.Keys(l.servers), netip.Addr.Compare)
		slices.Reverse(servers) // those of the root, which all worlds have, come last
		for _, q := range []string{"www.example", "example", ".", "a.b.c.example"} {
			for _, a := range servers {
				if x := exchangeOf(t, l, a.String(), q, 1); x != nil {
					x.packets()
				}
			}
		}
	})
}
