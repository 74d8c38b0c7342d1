package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/listen"
)

// listed are settings with a module that asks the list mine.txt.
const listed = `settings:
  data: [{ name: mine, file: mine.txt }]
  modules: [{ name: acts, file: acts.wasm }]
  plugins: [{ module: acts, phase: query, grant: [data/mine] }]
`

// A data set does not lose more than half of its entries unless somebody says so: neither by an apply nor by a rollback, over the API too.
func TestListsDoNotShrinkUnsaid(t *testing.T) {
	b := newBench(t, storeNode("root1", `root: "127.0.0.1:0"`))
	n := b.start()
	apply(t, n, "settings: { cache: { stale: 2h } }") // waits for the root
	module := acts(t, "phases: [query]\nneeds: [data/mine]\n")
	request := func(list, more string) admin.Apply {
		return admin.Apply{Files: []admin.SettingsFile{{Name: "s.yaml", Text: listed + more, Named: map[string][]byte{"mine.txt": []byte(list), "acts.wasm": []byte(module)}}}, Author: "ana", Reason: "a test", Now: true}
	}
	const four, three = "a.example\nb.example\nc.example\nd.example\n", "a.example\nb.example\nc.example\n"
	first := uint64(0)
	for _, c := range []struct {
		what, list, more string
		shrink           []string
		old, now         int // old -1: there was none
		refused          string
	}{
		{"the first", three, "", nil, -1, 3, ""},
		{"more", four, "", nil, 3, 4, ""},
		{"half of it", "a.example\nb.example\n", "", nil, 4, 2, ""},
		{"less than half", "a.example\n", "", nil, 2, 1, ""},
		{"all again", four, "", nil, 1, 4, ""},
		{"more than half of it goes", "a.example\n", "", nil, 4, 1, `data set "mine" would lose 3 of its 4 entries`},
		{"all of it goes", "# down\n", "", []string{"other"}, 4, 0, `data set "mine" would lose 4 of its 4 entries`},
		{"another setting", four, "  cache: { stale: 1h }\n", nil, -2, 0, ""},
		{"it is said", "# down\n", "", []string{"mine"}, 4, 0, ""},
		{"nothing to lose", "# down, down\n", "", nil, 0, 0, ""},
	} {
		r := request(c.list, c.more)
		r.Shrink, r.Dry = c.shrink, true
		plan, err := n.settings().Apply(t.Context(), r)
		if err != nil {
			t.Fatalf("%s, tried: %v", c.what, err)
		}
		if c.old == -2 && len(plan.Lists) != 0 || c.old > -2 && (len(plan.Lists) != 1 || plan.Lists[0].New != c.now || (plan.Lists[0].Old == nil) != (c.old < 0) || c.old >= 0 && *plan.Lists[0].Old != c.old) {
			t.Errorf("%s: lists %+v", c.what, plan.Lists)
		}
		if warned := strings.Contains(strings.Join(plan.Warnings, "\n"), "--shrink mine"); warned != (c.refused != "") {
			t.Errorf("%s: warnings %q", c.what, plan.Warnings)
		}
		r.Dry = false
		done, err := n.settings().Apply(t.Context(), r)
		var refusal *admin.Refusal
		switch {
		case c.refused == "" && err != nil:
			t.Fatalf("%s: %v", c.what, err)
		case c.refused != "" && (!errors.As(err, &refusal) || refusal.Why != admin.Shrinks || !strings.Contains(err.Error(), c.refused)):
			t.Errorf("%s: %v", c.what, err)
		}
		if first == 0 {
			first = done.Version
		}
		if done.Version > 0 {
			inUseAt(t, n, done.Version)
		}
	}
	if _, err := n.settings().Rollback(t.Context(), admin.Rollback{Version: first, Author: "ana"}); err != nil {
		t.Errorf("back to more: %v", err)
	}

	// The same over HTTP.
	if done, err := n.settings().Apply(t.Context(), request(four, "")); err != nil {
		t.Fatal(err)
	} else {
		inUseAt(t, n, done.Version)
	}
	r := request("", "")
	status, answer := post(t, n, b, "/api/v1/apply", r)
	if status != http.StatusUnprocessableEntity || !strings.Contains(answer, `"urn:ananas:problem:shrink"`) || !strings.Contains(answer, `--shrink mine (in the API \"shrink\": [\"mine\"])`) {
		t.Errorf("over HTTP: %d %s", status, answer)
	}
	r.Shrink = []string{"mine"}
	if status, answer := post(t, n, b, "/api/v1/apply", r); status != http.StatusOK || !strings.Contains(answer, `"lists":[{"name":"mine","old":4,"new":0}]`) {
		t.Errorf("over HTTP, said: %d %s", status, answer)
	}
}

// post asks a node's API.
func post(t *testing.T, n *Node, b *bench, path string, body any) (int, string) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+n.Admin().String()+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	token, err := os.ReadFile(b.path("data/admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(got)
}

// A node that compiles what its settings bring along does not hold its ports meanwhile: a client that asks is told at once that nobody is there, and asks another one.
func TestPortsAreBoundWhenItCanAnswer(t *testing.T) {
	at := freeAddress(t)
	b := newBench(t, strings.Replace(plain, `dns: ["127.0.0.1:0"]`, fmt.Sprintf("dns: [%q]", at), 1)+strings.TrimPrefix(listed, "settings:\n"))
	b.write("acts.wasm", acts(t, "phases: [query]\nneeds: [data/mine]\n"))
	b.write("mine.txt", "a.example\n")
	o, err := b.options()
	if err != nil {
		t.Fatal(err)
	}
	looked, compiler := false, o.Compiler
	o.Compiler = func() *exec.Cmd {
		looked = true
		if err := listen.Free(listen.Config{DNS: []netip.AddrPort{at}}); err != nil {
			t.Errorf("while a module is compiled: %v", err)
		}
		return compiler()
	}
	n, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if !looked || n.Addrs()[0] != at {
		t.Errorf("compiled %v, at %v", looked, n.Addrs())
	}
}

// Where a file is the truth, nobody is asked before: a reload tells of what was lost.
func TestReloadTellsOfShrunkLists(t *testing.T) {
	b := newBench(t, plain+strings.TrimPrefix(listed, "settings:\n"))
	b.write("acts.wasm", acts(t, "phases: [query]\nneeds: [data/mine]\n"))
	b.write("mine.txt", "a.example\nb.example\nc.example\n")
	n := b.start()
	b.write("mine.txt", "")
	r, err := n.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	told := strings.Join(r.Warnings, "\n")
	if !strings.Contains(told, `data set "mine" has lost 3 of its 3 entries`) || !strings.Contains(told, `data set "mine" has no entries`) {
		t.Errorf("%q", r.Warnings)
	}
	if r, err = n.Reload(t.Context()); err != nil || strings.Contains(strings.Join(r.Warnings, "\n"), "has lost") {
		t.Errorf("once more: %q, %v", r.Warnings, err)
	}
}
