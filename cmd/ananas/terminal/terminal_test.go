package terminal

import (
	"io"
	"slices"
	"strings"
	"testing"
	"unicode"
)

func TestClean(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"ns1.example. (192.0.2.1)", "ns1.example. (192.0.2.1)"},
		{"two\nlines", "two\nlines"},
		{"a\tb", "a b"},
		{"é ✗ │ 漢", "é ✗ │ 漢"},
		{"\x1b[2J\r\a", `\x1b[2J\r\a`},
		{"\u202etxt\u200b", `\u202etxt\u200b`},
		{"\u009b31m", `\u009b31m`},
		{"\xff\x80 and \uFFFD", `\xff\x80 and ` + "\uFFFD"},
		{"quoted \"text\" and \\", "quoted \"text\" and \\"},
	} {
		if got := Clean(c.text); got != c.want {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  []string
	}{
		{"", 10, []string{""}},
		{"one two three", 0, []string{"one two three"}},
		{"one two three", 13, []string{"one two three"}},
		{"one two three", 12, []string{"one two", "three"}},
		{"one two three", 3, []string{"one", "two", "thr", "ee"}},
		{"one  two", 10, []string{"one  two"}}, // as it is while it fits
		{"12345678901 2", 5, []string{"12345", "67890", "1 2"}},
		{"a 1234567890", 5, []string{"a", "12345", "67890"}},
		{"one two\nthree", 5, []string{"one", "two", "three"}},
		{"one\n\ntwo", 5, []string{"one", "", "two"}},
		{"ééé ééé", 3, []string{"ééé", "ééé"}},
		{"      x", 3, []string{"x"}},
	} {
		if got := Wrap(c.text, c.width); !slices.Equal(got, c.want) {
			t.Errorf("%q in %d: got %q, want %q", c.text, c.width, got, c.want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{{"12345", 0, "12345"}, {"12345", 5, "12345"}, {"12345", 4, "123…"}, {"ééé", 2, "é…"}, {"12", 1, "…"}} {
		if got := Cut(c.text, c.width); got != c.want {
			t.Errorf("%q in %d: got %q, want %q", c.text, c.width, got, c.want)
		}
	}
}

func TestScreenThatIsNone(t *testing.T) {
	env := func(values map[string]string) func(string) string {
		return func(name string) string { return values[name] }
	}
	for _, c := range []struct {
		env  map[string]string
		want Screen
	}{
		{nil, Screen{}},
		{map[string]string{"COLUMNS": "60"}, Screen{Width: 60}},
		{map[string]string{"COLUMNS": "-1"}, Screen{}},
		{map[string]string{"COLUMNS": "wide"}, Screen{}},
	} {
		if got := Of(io.Discard, env(c.env)); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.env, got, c.want)
		}
	}
	if got := (Screen{}).Paint(Red, "text"); got != "text" {
		t.Errorf("painted without colours: %q", got)
	}
	if got := (Screen{Colour: true}).Paint(Red, ""); got != "" {
		t.Errorf("painted nothing: %q", got)
	}
}

func TestTable(t *testing.T) {
	table := Table{
		Head:  []string{"NAME", " TTL", "TYPE"},
		Rows:  [][]string{{"é.example.", "5", "A"}, {"x.", "86400", "AAAA"}, {"evil\x1b[2J\n.", "", ""}},
		Notes: map[int][]string{1: {"2001:db8::1", "two\nlines\x07"}},
	}
	var b strings.Builder
	if err := table.Write(&b); err != nil {
		t.Fatal(err)
	}
	const want = `NAME             TTL  TYPE
é.example.         5  A
x.             86400  AAAA
    2001:db8::1
    two
    lines\a
evil\x1b[2J .
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

// Wrapped text has the same letters in the same order, and no line is too long.
func FuzzWrap(f *testing.F) {
	f.Add("one two three", 5)
	f.Add("a\n\nb \t 1234567890", 3)
	f.Fuzz(func(t *testing.T, text string, width int) {
		text = Clean(text)
		for _, r := range text {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("%q is left", r)
			}
		}
		width = width % 100
		lines := Wrap(text, width)
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if got, want := squeeze(strings.Join(lines, "")), squeeze(text); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		for _, l := range lines {
			if width > 0 && Columns(l) > width {
				t.Fatalf("%q is longer than %d", l, width)
			}
		}
	})
}
