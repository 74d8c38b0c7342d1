package identity

import (
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/store"
)

const sampleAccess = `{"rules":[
	{"labels":{"tier":"edge"},"read":["forward","cache/max_ttl"]},
	{"labels":{"site":"opo"},"read":["plugin/family"]},
	{"labels":{"tier":"relay"},"read":["*"]},
	{"labels":{"tier":"blind"},"read":[]}]}`

func TestReadable(t *testing.T) {
	for _, c := range []struct {
		name   string
		doc    string // "": none
		peer   Peer
		whole  bool
		reads  string
		hidden string
	}{
		{"nothing is said", "", Peer{Role: Follower}, true,
			"forward forward/x ~node/a ~rollout/3 ~access ~set/3/forward/x", "~token/1 ~secret/a ~later ~set/3/~secret/a ~set/3"},
		{"no rule chooses it", sampleAccess, Peer{Role: Follower, Labels: Labels{"tier": "core"}}, true, "forward secret", "~token/1 ~secret/a"},
		{"one rule", sampleAccess, Peer{Role: Follower, Labels: Labels{"tier": "edge", "site": "lis"}}, false,
			"forward forward/x forward/x/y cache/max_ttl ~node/a ~rollout/3 ~access ~set/3/forward ~set/3/forward/x ~set/3/cache/max_ttl",
			"forwarder for f cache cache/max_ttl2 plugin/family ~set/3/forwarder ~set/3/plugin/family ~set/3 ~token/1 ~secret/a ~set/3/~secret/a"},
		{"two rules", sampleAccess, Peer{Role: Follower, Labels: Labels{"tier": "edge", "site": "opo"}}, false, "forward/x plugin/family plugin/family/a", "plugin cache plugin/fam"},
		{"all", sampleAccess, Peer{Role: Follower, Labels: Labels{"tier": "relay", "site": "opo"}}, true, "a ~set/3/a", "~token/1 ~secret/a"},
		{"nothing", sampleAccess, Peer{Role: Follower, Labels: Labels{"tier": "blind"}}, false, "~node/a ~access", "forward a ~set/3/a"},
		{"a member of the root", sampleAccess, Peer{Role: Root, Labels: Labels{"tier": "blind"}}, true, "forward ~token/1 ~secret/a ~later ~set/3/~secret/a", ""},
		{"a rule for every node", `{"rules":[{"read":["a"]}]}`, Peer{Role: Follower}, false, "a a/b", "b"},
		{"a folder within a folder", `{"rules":[{"read":["a/b","a","a/b/c","ab"]}]}`, Peer{Role: Follower}, false, "a a/x a/b/c/d ab/c", "abc b"},
	} {
		w := newWorld(t)
		w.put(store.AccessKey, c.doc)
		a, err := AccessIn(w)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		r := a.For(c.peer)
		if r.Whole() != c.whole {
			t.Errorf("%s: whole is %v", c.name, r.Whole())
		}
		for _, key := range strings.Fields(c.reads) {
			if !r.Readable(key) {
				t.Errorf("%s: can not read %q", c.name, key)
			}
		}
		for _, key := range strings.Fields(c.hidden) {
			if r.Readable(key) {
				t.Errorf("%s: reads %q", c.name, key)
			}
		}
	}
}

// The fingerprint is the same for what reads the same, and else another.
func TestAccessFingerprint(t *testing.T) {
	of := func(doc string, p Peer) [32]byte {
		a, err := ParseAccess([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		return a.For(p).Fingerprint()
	}
	edge, core := Peer{Role: Follower, Labels: Labels{"tier": "edge"}}, Peer{Role: Follower}
	base := of(`{"rules":[{"read":["a","b"]}]}`, edge)
	for _, doc := range []string{`{"rules":[{"read":["b","a","a"]}]}`, `{"rules":[{"read":["b"]},{"labels":{"tier":"edge"},"read":["a/x","a"]}]}`} {
		if of(doc, edge) != base {
			t.Errorf("%s reads the same, and has another fingerprint", doc)
		}
	}
	for _, doc := range []string{`{"rules":[]}`, `{"rules":[{"read":["a"]}]}`, `{"rules":[{"read":["ab"]}]}`, `{"rules":[{"read":["a","b/c"]}]}`, `{"rules":[{"read":["*"]}]}`} {
		if of(doc, edge) == base {
			t.Errorf("%s does not read the same, and has the same fingerprint", doc)
		}
	}
	if of(`{"rules":[]}`, core) != of(`{"rules":[{"read":["*"]}]}`, core) || of(`{"rules":[]}`, core) == of(`{"rules":[]}`, Peer{Role: Root}) {
		t.Error("all settings, and all")
	}
}

func TestParseAccessRefuses(t *testing.T) {
	for doc, want := range map[string]string{
		``:                            "EOF",
		`null`:                        "it has no rules",
		`{}`:                          "it has no rules",
		`{"rules":[]} x`:              "something follows it",
		`{"rules":[{}]}`:              "rules[0]: it does not say what is read",
		`{"rules":[{"reads":["a"]}]}`: "unknown field",
		`{"rules":[{"read":["a"]},{"read":["a/"]}]}`:                              "rules[1]",
		`{"rules":[{"read":["~secret/a"]}]}`:                                      `"~secret/a" is no setting`,
		`{"rules":[{"read":[],"labels":{"a":""}}]}`:                               `the label "a"`,
		`{"rules":[` + strings.Repeat(`{"read":[]},`, MaxRules) + `{"read":[]}]}`: "257 rules, more than 256",
		`{"rules":[],"x":"` + strings.Repeat("x", 1<<16) + `"}`:                   "more than 65536",
	} {
		if _, err := ParseAccess([]byte(doc)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %q", doc, err, want)
		}
	}
	w := newWorld(t)
	w.put(store.AccessKey, "{}")
	if _, err := AccessIn(w); err == nil || !strings.Contains(err.Error(), `"~access"`) {
		t.Errorf("a damaged document: %v", err)
	}
}

func FuzzParseAccess(f *testing.F) {
	f.Add([]byte(sampleAccess), "forward/x")
	f.Add([]byte(`{"rules":[{"read":["a"]}]}`), "~set/1/a/b")
	f.Fuzz(func(t *testing.T, doc []byte, key string) {
		a, err := ParseAccess(doc)
		if err != nil {
			return
		}
		text, err := EncodeAccess(a.rules)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseAccess(text)
		if err != nil {
			t.Fatalf("%q is written as %q: %v", doc, text, err)
		}
		for _, p := range []Peer{{Role: Follower}, {Role: Follower, Labels: Labels{"tier": "edge"}}, {Role: Root}} {
			r := a.For(p)
			if r.Fingerprint() != again.For(p).Fingerprint() {
				t.Errorf("%q and %q are not read alike", doc, text)
			}
			if got, want := r.Readable(key), slowly(a, p, key); got != want {
				t.Errorf("%q reads %q: %v, want %v", doc, key, got, want)
			}
		}
	})
}

// slowly is what Readable has to be, in the words of the rule.
func slowly(a *Access, p Peer, key string) bool {
	if p.Role == Root {
		return true
	}
	if _, setting, ok := store.SplitSet(key); ok {
		return store.IsSetting(setting) && slowly(a, p, setting)
	}
	if !store.IsSetting(key) {
		return key == "~access" || strings.HasPrefix(key, "~node/") || strings.HasPrefix(key, "~rollout/")
	}
	matched := false
	for _, r := range a.rules {
		if !p.Labels.Has(r.Labels) {
			continue
		}
		matched = true
		for _, prefix := range r.Read {
			if prefix == "*" || key == prefix || strings.HasPrefix(key, prefix+"/") {
				return true
			}
		}
	}
	return !matched
}

func BenchmarkReadable(b *testing.B) {
	a, err := ParseAccess([]byte(sampleAccess))
	if err != nil {
		b.Fatal(err)
	}
	r := a.For(Peer{Role: Follower, Labels: Labels{"tier": "edge"}})
	for b.Loop() {
		if !r.Readable("forward/corp.example.com") || r.Readable("zone/corp.example.com") {
			b.Fatal("wrong")
		}
	}
}
