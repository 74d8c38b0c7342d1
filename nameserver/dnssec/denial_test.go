package dnssec

import (
	"strconv"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// verbs are the questions of the test files, each a method of Denial:
//
//	nxdomain NAME, nodata NAME TYPE, expanded NAME ENCLOSER, unsigned NAME, nocut NAME
//
// followed by " = " and the result:
//
//	secure, insecure, insecure CODE TEXT, bogus CODE TEXT
//
// where CODE is of EDE, and TEXT a part of its text.
var verbs = []string{"nxdomain", "nodata", "expanded", "unsigned", "nocut"}

// answer asks d a question and compares the result.
func answer(t testing.TB, d *Denial, line string, w *Work) Result {
	t.Helper()
	question, want, ok := strings.Cut(line, " = ")
	q := strings.Fields(question)
	if !ok || len(q) < 2 {
		t.Fatalf("%q is not a question and its result", line)
	}
	var r Result
	n := name(q[1])
	switch q[0] {
	case "nxdomain":
		r = d.NXDomain(n, w)
	case "nodata":
		typ, err := dns.ParseType(q[2])
		if err != nil {
			t.Fatal(err)
		}
		r = d.NoData(n, typ, w)
	case "expanded":
		r = d.Expanded(n, name(q[2]), w)
	case "unsigned":
		r = d.Unsigned(n, w)
	case "nocut":
		r = d.NoCut(n, w)
	default:
		t.Fatalf("%q: unknown question", line)
	}
	words := strings.SplitN(want, " ", 3)
	security := map[string]cache.Security{"secure": cache.Secure, "insecure": cache.Insecure, "bogus": cache.Bogus}[words[0]]
	code, part := 0, ""
	if len(words) == 3 {
		code, _ = strconv.Atoi(words[1])
		part = words[2]
	}
	if security == cache.Unchecked || security == cache.Bogus && part == "" {
		t.Fatalf("%q: no result", line)
	}
	if r.Security != security || int(r.EDE.Code) != code || !strings.Contains(r.EDE.Text, part) {
		t.Errorf("%s: %v %d %s", line, r.Security, r.EDE.Code, r.EDE.Text)
	}
	return r
}
