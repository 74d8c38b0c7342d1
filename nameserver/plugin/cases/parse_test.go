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
