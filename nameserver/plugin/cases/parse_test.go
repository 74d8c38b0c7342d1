package cases_test

import (
	"os"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/nameserver/plugin/cases"
	"github.com/ananas-edge/ananas/wasm"
)

// What is no case is an error that names the line and what there is.
func TestRefusedCases(t *testing.T) {
	for text, want := range map[string]string{
		"query a.example\n-> go on":                      `file:1: a query is written NAME TYPE`,
		"query a..example A\n-> go on":                   `file:1: parsing name "a..example"`,
		"query a.example AB\n-> go on":                   `file:1: `,
		"query a.example A tls\n-> go on":                `file:1: "tls" behind a query; there are do, cd, ad, tcp, client ADDRESS and tenant TAG`,
		"query a.example A client\n-> go on":             `file:1: client, and no address`,
		"query a.example A client x\n-> go on":           `file:1: reading the client's address: `,
		"\n\nquery a.example A\n\n":                      `file:3: a query without a verdict`,
		"query a.example A\nquery b.example A\n-> go on": `file:2: a second query in one block`,
		"-> go on":                                                  `file:1: a verdict, and no query before it`,
		"answer a. 1 IN A 192.0.2.1":                                `file:1: records, and no query`,
		"resolved a. 1 IN A 192.0.2.1\n":                            `file:1: records, and no query`,
		"query a. A\nresolved nonsense\n-> go on":                   `file:2: `,
		"query a. A\nresolved\n-> go on":                            `file:2: it has no record`,
		"settings zones":                                            `file:1: settings are written KEY=VALUE`,
		"query a. A\nanswer nonsense\n-> go on":                     `file:2: `,
		"query a. A\nanswers a. 1 IN A 192.0.2.1\n-> go on":         `file:2: no line begins with "answers"; there are settings, query,`,
		"query a. A\nreply FINE\n-> go on":                          `file:2: "FINE" is none of `,
		"query a. A\n-> blocked":                                    `file:2: "blocked" is no verdict; there are go on, NXDOMAIN, `,
		"query a. A\n-> NXDOMAIN ttl=long":                          `file:2: "long" is no TTL`,
		"query a. A\n-> NXDOMAIN ede=\"blocked\"":                   `file:2: "blocked" is no number of an extended error`,
		"query a. A\n-> NXDOMAIN ede=\"15 blocked":                  `file:2: a quote that does not end`,
		"query a. A\n-> NXDOMAIN 192.0.2.1":                         `file:2: "192.0.2.1" behind the verdict; there are ttl=, ede=, group=, tag= and bypass`,
		"query a. A\n-> NXDOMAIN why=me":                            `file:2: "why" behind the verdict`,
		"query a. A\n-> address nowhere":                            `file:2: ParseAddr`,
		"query a. A\n-> fault":                                      `file:2: a fault without a reason`,
		"query a. A\n-> go on\na. 1 IN A 192.0.2.1":                 `file:2: "a. 1 IN A 192.0.2.1" behind the verdict; records belong to the verdict records`,
		"query a. A\n-> records\n# fine\n    a. 1 IN A 192.0.2":     `file:2: `,
		"logged a.example\n-> done":                                 `file:1: a query is written NAME TYPE`,
		"logged a. A FINE\n-> done":                                 `file:1: "FINE" in a line of what was logged; there are [NOERROR `,
		"logged a. A client\n-> done":                               `file:1: client, and no address`,
		"logged a. A took=long\n-> done":                            `file:1: "long" is no time from 0s to 24h0m0s, as 1.5ms is`,
		"logged a. A took=-1s\n-> done":                             `file:1: "-1s" is no time`,
		"logged a. A at=25h\n-> done":                               `file:1: "25h" is no time`,
		"logged a. A tag=\"a\n-> done":                              `file:1: a quote that does not end`,
		"logged a. A tag=" + strings.Repeat("a", 64) + "\n-> done":  `file:1: a tag has at most 63 octets`,
		"logged a. A\n":                                             `file:1: a query without a verdict`,
		"logged a. A\n-> go on":                                     `file:2: of what was logged there is no verdict; it is done, or a fault`,
		"query a. A\n-> done":                                       `file:2: done is what comes of lines that begin with logged; of a query there is a verdict`,
		"query a. A\nlogged a. A\n-> done":                          `file:2: a query, or records, and lines of what was logged: these are a case of their own`,
		"logged a. A\nquery a. A\n-> go on":                         `file:2: "query", and lines of what was logged`,
		"logged a. A\nreply NOERROR\n-> done":                       `file:2: "reply", and lines of what was logged`,
		"logged a. A\n-> done well":                                 `file:2: "well" behind done`,
		"logged a. A\n-> done\ncount":                               `file:2: count, and no name of a metric`,
		"logged a. A\n-> done\ncount a":                             `file:2: what is counted is written count NAME SUM`,
		"logged a. A\n-> done\ncount a 1 2":                         `file:2: what is counted is written count NAME SUM`,
		"logged a. A\n-> done\ncount a -1":                          `file:2: "-1" is no number that a module can count`,
		"logged a. A\n-> done\nobserve a 1\nobserve a 2":            `file:2: a second line of observe a; a metric has one`,
		"logged a. A\n-> done\nlog fine x":                          `file:2: "fine" is no level of the log; there are [debug info warn error]`,
		"logged a. A\n-> done\nlog info two words":                  `file:2: "words" behind the text; a text of several words is in quotes`,
		"logged a. A\n-> done\nseen x":                              `file:2: "seen" behind done; there are count NAME SUM, observe`,
		strings.Repeat("logged a. A\n", 257) + "-> done":            `file:257: more than 256 lines of what was logged in one case`,
		strings.Repeat("query a. A\n-> go on\n\n", 10_001) + "#end": `file: more than 10000 cases`,
	} {
		if _, err := cases.Parse("file", text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.60q: %v, want %s", text, err, want)
		}
	}
}

// A verdict that is read and written is the same, and a file that is updated keeps all else.
func TestUpdate(t *testing.T) {
	const text = `# a
settings k=v

query a.example A
-> go on bypass tag="x \"y\""

  query a.example A do   # is no type, but:
-> drop
`
	if _, err := cases.Parse("file", text); err == nil {
		t.Error("a comment behind a query is taken for something else")
	}
	lines := strings.Replace(text, "   # is no type, but:", "", 1)
	f, err := cases.Parse("file", lines)
	if err != nil {
		t.Fatal(err)
	}
	got := []cases.Outcome{f.Cases[0].Want, f.Cases[1].Want}
	if out := f.Updated(got); out != lines {
		t.Errorf("what is as it was is written anew:\n%s", out)
	}
	for _, verdict := range []string{
		"go on", "NXDOMAIN ttl=60", `NODATA ttl=1 ede="0"`, "address 192.0.2.1 2001:db8::1 ttl=5", "REFUSED", "drop", "rewrite www.example. ttl=3", "records", "records ttl=5",
		"records\n    a.example. 60 IN A 192.0.2.1\n    b.example. 60 IN TXT \"two words\"", "fault fuel", "fault start 2",
	} {
		two, err := cases.Parse("file", "query a. A\n-> "+verdict+"\n\n# end\n")
		if err != nil {
			t.Error(err)
			continue
		}
		if s := two.Cases[0].Want.String(); s != verdict {
			t.Errorf("%q is written %q", verdict, s)
		}
		if out := f.Updated([]cases.Outcome{got[0], two.Cases[0].Want}); out != strings.Replace(lines, "-> drop", "-> "+verdict, 1) {
			t.Errorf("updated:\n%s", out)
		}
	}
}

// A module that is declared pure and says two things is found out.
func TestNotPure(t *testing.T) {
	plain, err := os.ReadFile("../testdata/guests/acts.wasm")
	if err != nil {
		t.Fatal(err)
	}
	for pure, want := range map[string]string{"true": "fault not pure", "false": "NXDOMAIN ttl=60"} {
		module, err := wasm.Attach(plain, []byte("abi: 1\nname: acts\nversion: '1'\nphases: [query]\nneeds: [data/list]\npure: "+pure+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		r := open(t, module, map[string][]byte{"list": []byte("listed.example\n")})
		for _, d := range play(t, r, "pure "+pure, "query other.test A\n-> go on\n\nquery calls.test A\n-> "+want+"\n") {
			t.Error(d)
		}
	}
}
