package cluster_test

import (
	"os"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/test/cluster"
)

// TestTokens starts nodes with tokens that are no good: each ends with what is wrong and what to do.
func TestTokens(t *testing.T) {
	t.Parallel()
	r := start(t)
	root := r.add(cluster.Config{Name: "root1", Root: true, Extra: "  testing: { offset_file: " + r.Dir + "/offset }\n"}, "")
	r.must(os.WriteFile(r.Dir+"/offset", []byte("0\n"), 0o600))
	used := r.token(root, admin.NewToken{})
	first := r.add(cluster.Config{Name: "first", Join: []*cluster.Node{root}}, used)
	r.reaches(1, first)
	old := r.token(root, admin.NewToken{TTLMS: 60_000})
	named := r.token(root, admin.NewToken{Name: "somebody"})
	free := r.token(root, admin.NewToken{})

	elsewhere := start(t) // folders and addresses of their own: one of them has a name that is taken
	for _, c := range []struct {
		name, token string
		words       []string
	}{
		{"none", "", []string{"has no token", "ananas root token"}},
		{"garbage", "let me in", []string{"join token", "ananas root token"}},
		{"cut", free[:len(free)-5], []string{"join token", "ananas root token"}},
		{"replayed", used, []string{`was used by "first"`, "ananas root token"}},
		{"other-name", named, []string{`is for the node "somebody"`, "set node.name"}},
		{"first", free, []string{`has a node "first" already`, "ananas root remove first"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := r.in(t)
			n, err := elsewhere.Add(cluster.Config{Name: c.name, Join: []*cluster.Node{root}})
			r.must(err)
			r.refused(n, c.token, c.words...)
		})
	}

	// The clock of the root is put forward by two minutes: that of an hour ends later, and can be used still.
	r.must(os.WriteFile(r.Dir+"/offset", []byte("120\n"), 0o600))
	late, err := r.Add(cluster.Config{Name: "late", Join: []*cluster.Node{root}})
	r.must(err)
	r.refused(late, old, "could be used until", "ananas root token")
	r.must(late.Start(free))
	r.reaches(1, late)
}

// refused starts a node that ends by itself, and checks what it says.
func (r *rig) refused(n *cluster.Node, token string, words ...string) {
	r.Helper()
	from := len(n.Lines())
	r.must(n.Start(token))
	text := r.ended(n, from)
	for _, word := range words {
		if !strings.Contains(text, word) {
			r.Errorf("%s says %q; it lacks %q", n.Name, text, word)
		}
	}
	if token != "" && strings.Contains(text, token) {
		r.Errorf("%s shows its token: %q", n.Name, text)
	}
}
