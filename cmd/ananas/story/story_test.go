package story

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// read takes a recorded stream as the API sends it.
func read(t *testing.T, path string) (*Story, *admin.ExplainAnswer) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := new(Story)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var l struct {
			admin.Event
			Answer *admin.ExplainAnswer `json:"answer"`
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if l.Answer != nil {
			return s, l.Answer
		}
		s.Add(l.Event)
	}
	return s, nil
}

// Each stream in testdata is drawn in several ways; how it has to look stands beside it. They were recorded from a node in a lab with
// silent, lame and lying servers, with ananas explain --json; cut, stale and hostile were written, for what no lab does to order.
func TestDrawing(t *testing.T) {
	streams, err := filepath.Glob("testdata/*.ndjson")
	if err != nil || len(streams) == 0 {
		t.Fatalf("no streams: %v", err)
	}
	ways := map[string]Options{
		"plain":  {}, // a file or a pipe
		"wide":   {Screen: terminal.Screen{Width: 120, Colour: true}},
		"narrow": {Screen: terminal.Screen{Width: 60}},
		"folded": {Screen: terminal.Screen{Width: 80}, Depth: 3},
	}
	for _, stream := range streams {
		for way, o := range ways {
			golden := strings.TrimSuffix(stream, "ndjson") + way + ".golden"
			t.Run(filepath.Base(golden), func(t *testing.T) {
				s, answer := read(t, stream)
				var b strings.Builder
				if err := s.Write(&b, o, answer); err != nil {
					t.Fatal(err)
				}
				if *update {
					if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if b.String() != string(want) {
					t.Errorf("it looks otherwise (write it anew with -update):\n%s", b.String())
				}
				for _, r := range b.String() {
					if r != '\n' && !unicode.IsPrint(r) && !o.Screen.Colour {
						t.Errorf("%q reaches the terminal", r)
					}
				}
			})
		}
	}
}

// Each line of the tree is a step, and none is lost: what is folded is counted.
func TestFoldedLinesAreCounted(t *testing.T) {
	for _, stream := range []string{"unreachable", "circle", "hostile", "cut"} {
		text, err := os.ReadFile("testdata/" + stream + ".ndjson")
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.Count(text, []byte(`"seq"`))
		for depth := 1; depth <= 20; depth++ {
			s, answer := read(t, "testdata/"+stream+".ndjson")
			var b strings.Builder
			if err := s.Write(&b, Options{Depth: depth}, answer); err != nil {
				t.Fatal(err)
			}
			got := 0
			for _, l := range strings.Split(b.String(), "\n") {
				var at float64
				if n, _ := fmt.Sscanf(l, "%f", &at); n == 1 && strings.Contains(l[:10], ".") {
					got++
				}
				if _, folded, ok := strings.Cut(l, "[+"); ok {
					var n int
					if _, err := fmt.Sscanf(folded, "%d line", &n); err != nil {
						t.Errorf("%s: %q", stream, l)
					}
					got += n
				}
			}
			if got != lines {
				t.Errorf("%s at depth %d: %d lines are shown or counted, want %d:\n%s", stream, depth, got, lines, b.String())
			}
		}
	}
}

func TestStoryIsBounded(t *testing.T) {
	var s Story
	for i := range maxEvents + 3 {
		s.Add(admin.Event{Seq: i + 1, Parent: i, Kind: "job"}) // each below the one before
	}
	var b strings.Builder
	if err := s.Write(&b, Options{}, nil); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("[+%d lines]\n", maxEvents-maxDepth); !strings.Contains(b.String(), want) {
		t.Errorf("no %q", want)
	}
	if want := "and 3 steps more\n"; !strings.Contains(b.String(), want) {
		t.Errorf("no %q", want)
	}
	if lines := strings.Count(b.String(), "\n"); lines != maxDepth+4 {
		t.Errorf("%d lines", lines)
	}
}

// What the answer says in one line.
func TestVerdict(t *testing.T) {
	a := func(rcode, typ string, records ...string) admin.ExplainAnswer {
		return admin.ExplainAnswer{Name: "www.example.", Type: typ, RCode: rcode, Answer: records}
	}
	ede := func(a admin.ExplainAnswer, code uint16, name, text string) admin.ExplainAnswer {
		a.Errors = append(a.Errors, admin.EDE{Code: code, Name: name, Text: text})
		return a
	}
	const cname, dname = "www.example.\t60\tIN\tCNAME\ta.example.", "example.\t60\tIN\tDNAME\texample.net."
	for _, c := range []struct {
		answer admin.ExplainAnswer
		want   string
	}{
		{a("NOERROR", "A", "www.example.\t60\tIN\tA\t192.0.2.1"), "answered: www.example. has 1 A record"},
		{a("NOERROR", "A", "www.example.\t60\tIN\tA\t192.0.2.1", "www.example.\t60\tIN\tRRSIG\tA 8 2 60 ..."), "answered: www.example. has 1 A record"},
		{a("NOERROR", "ANY", "www.example.\t60\tIN\tA\t192.0.2.1", "www.example.\t60\tIN\tMX\t1 m."), "answered: www.example. has 2 records"},
		{a("NOERROR", "CNAME", cname), "answered: www.example. has 1 CNAME record"},
		{a("NOERROR", "MX", cname), "answered: www.example. is an alias of a.example., which exists and has no MX record"},
		{a("NOERROR", "TYPE65280", cname, "a.example.\t60\tIN\tTYPE65280\t\\# 0"), "answered: www.example. is an alias of a.example., which has 1 TYPE65280 record"},
		{a("NXDOMAIN", "A", dname, "www.example.\t60\tIN\tCNAME\twww.example.net."), "answered: www.example. is an alias of www.example.net., which does not exist"},
		{a("NXDOMAIN", "A"), "answered: www.example. does not exist"},
		{a("SERVFAIL", "A"), "failed: SERVFAIL for www.example. A, because of something that the node does not tell"},
		{ede(a("SERVFAIL", "A"), 6, "DNSSEC Bogus", ""), "failed: SERVFAIL for www.example. A, because DNSSEC Bogus"},
		{ede(a("REFUSED", "A"), 18, "Prohibited", "not you"), "failed: REFUSED for www.example. A, because not you"},
		{a("YXDOMAIN", "A", dname), "failed: YXDOMAIN for www.example. A, because of something that the node does not tell"},
		{ede(a("NXDOMAIN", "A"), 19, "Stale NXDOMAIN Answer", ""), "answered with expired data: www.example. does not exist; nothing newer, because its servers could not be asked"},
	} {
		var b strings.Builder
		if err := new(Story).Write(&b, Options{}, &c.answer); err != nil {
			t.Fatal(err)
		}
		if got, _, _ := strings.Cut(b.String(), "\n"); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
}

func TestLine(t *testing.T) {
	e := admin.Event{Kind: "ask", Text: "ask ns1.example. over UDP\nand more\x1b[2J"}
	if got, want := Line(e), "ask ns1.example. over UDP"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Whatever a node tells, nothing but printable text reaches the terminal.
func FuzzDrawing(f *testing.F) {
	f.Add([]byte(`{"seq":1,"parent":0,"at_us":5,"kind":"ask","text":"ask \u001b[2J","fields":{"why":"x"}}`), 40, 2)
	f.Add([]byte(`{"seq":1,"parent":1,"kind":"\u202e","text":"\n\n","fields":{"why":7}}`), 0, 0)
	f.Fuzz(func(t *testing.T, stream []byte, width, depth int) {
		s := new(Story)
		for l := range bytes.Lines(stream) {
			var e admin.Event
			if json.Unmarshal(l, &e) == nil {
				s.Add(e)
			}
		}
		answer := &admin.ExplainAnswer{Name: string(stream), RCode: "SERVFAIL", Answer: []string{string(stream)}, Errors: []admin.EDE{{Text: string(stream)}}}
		var b strings.Builder
		if err := s.Write(&b, Options{Screen: terminal.Screen{Width: width % 200}, Depth: depth % 20}, answer); err != nil {
			t.Fatal(err)
		}
		for _, r := range b.String() {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("%q reaches the terminal", r)
			}
		}
	})
}

// How an answer stands to its signatures is said in words; below a negative trust anchor it is not proved to be anything.
func TestSecurity(t *testing.T) {
	for want, a := range map[string]admin.ExplainAnswer{
		"secure (signed, and the signatures hold)":                                                                       {Security: "secure"},
		"insecure (proven to be unsigned)":                                                                               {Security: "insecure"},
		"insecure (not validated: a negative trust anchor stands at club.example., RFC 7646)":                            {Security: "insecure", NegativeAnchor: &admin.NegativeAnchor{Zone: "club.example."}},
		"insecure (not validated: a negative trust anchor stands at club.example. until 2030-01-31T12:00:00Z, RFC 7646)": {Security: "insecure", NegativeAnchor: &admin.NegativeAnchor{Zone: "club.example.", Until: time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)}},
	} {
		if got := security(&a); got != want {
			t.Errorf("%+v: %s, want %s", a, got, want)
		}
	}
}
