package cluster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/test/cluster"
	"github.com/ananas-edge/ananas/wasm"
)

// A module is carried to all nodes in waves, changes what they answer, and is turned off. One that blocks everything by mistake is stopped at the canary by the probe alone, and one that fails at each query by its faults; both are
// taken back by themselves, and the rollout says why.
func TestModules(t *testing.T) {
	t.Parallel()
	r := start(t)
	all := r.serve(1)
	root := r.add(cluster.Config{Name: "root1", Root: true, Labels: "{ site: lis }"}, "")
	token := func() string { return r.token(root, admin.NewToken{Labels: map[string]string{"site": "lis"}}) }
	f1 := r.add(cluster.Config{Name: "f1", Join: []*cluster.Node{root}}, token())
	f2 := r.add(cluster.Config{Name: "f2", Join: []*cluster.Node{root}}, token())
	nodes := []*cluster.Node{root, f1, f2}
	first := r.applied(root, "  recursion: { trust_anchors: none }\n  rollout: { waves: [canary, all], bake: 3s, patience: 20s }\n  forward: [{ zone: \".\", servers: [\""+all.address+"\"] }]\n", true, "first")
	r.reaches(first.Version, nodes...)

	module := func(version string) []byte {
		b, err := os.ReadFile(filepath.Join("..", "..", "nameserver", "plugin", "testdata", "guests", "acts.wasm"))
		r.must(err)
		b, err = wasm.Attach(b, []byte("abi: 1\nname: acts\nversion: '"+version+"'\nphases: [query]\n"))
		r.must(err)
		return b
	}
	push := func(version, use string) admin.Applied {
		text := "settings:\n  modules: [{ name: acts, file: acts.wasm }]\n  plugins: [{ module: acts, phase: query, " + use + " }]\n"
		done, err := r.api(root).Apply(r.ctx, admin.Apply{
			Files:  []admin.SettingsFile{{Name: "modules", Text: text, Named: map[string][]byte{"acts.wasm": module(version)}}},
			Author: "ana", Reason: "version " + version, Merge: true,
		})
		r.must(err)
		return done
	}
	answers := func(name, want string, nodes ...*cluster.Node) {
		for _, n := range nodes {
			r.eventually(n.Name+" answers "+name+" with "+want, func() error {
				got, err := answer(n, name)
				if err == nil && !strings.HasPrefix(got, want) {
					err = fmt.Errorf("it answers %s", got)
				}
				return err
			})
		}
	}
	answers("why.corp.example.", all.own, nodes...)

	done := push("1", "mode: closed")
	r.becomes(root, done.Rollout, "live")
	answers("why.corp.example.", "NXDOMAIN (15 it is said so)", nodes...)
	answers("other.corp.example.", all.own, nodes...)
	for _, n := range nodes {
		l, err := r.api(n).Modules(r.ctx)
		r.must(err)
		if len(l.Modules) != 1 || l.Modules[0].Name != "acts" || l.Modules[0].Version != "1" || len(l.Modules[0].Uses) != 1 || l.Modules[0].Uses[0].Verdicts["NXDOMAIN"] == 0 {
			r.Errorf("%s has %+v", n.Name, l.Modules)
		}
	}

	// It blocks everything: no client has to ask.
	bad := push("1", "mode: closed, settings: { all: yes }")
	if ended := r.becomes(root, bad.Rollout, "withdrawn"); !strings.Contains(ended.Why, "NXDOMAIN") {
		r.Errorf("it was withdrawn because %q", ended.Why)
	}
	answers("fine.corp.example.", all.own, nodes...)
	answers("why.corp.example.", "NXDOMAIN (15 it is said so)", nodes...)

	// What does not take its settings is refused before it is committed.
	text := "settings:\n  plugins: [{ module: acts, phase: query, settings: { refuse: yes } }]\n"
	_, err := r.api(root).Apply(r.ctx, admin.Apply{Files: []admin.SettingsFile{{Name: "modules", Text: text}}, Author: "ana", Reason: "r", Merge: true})
	r.says(err, "ananas_start", "returned an error")

	// Off, and on again.
	off := push("1", "mode: closed, off: true")
	r.becomes(root, off.Rollout, "live")
	answers("why.corp.example.", all.own, nodes...)

	// A node without its root has its module still.
	on := push("2", "mode: closed")
	r.becomes(root, on.Rollout, "live")
	answers("why.corp.example.", "NXDOMAIN (15 it is said so)", nodes...)
	root.Kill()
	r.must(f1.Stop())
	r.must(f1.Start(""))
	answers("why.corp.example.", "NXDOMAIN (15 it is said so)", f1, f2)
}

// A module that answers what its clients ask with addresses, or not at all, fails nothing and is quick; the gate sees that so many are not answered by the world any more. No probe asks for such names.
func TestModulesThatDecideEverything(t *testing.T) {
	t.Parallel()
	r := start(t)
	all := r.serve(1)
	root := r.add(cluster.Config{Name: "root1", Root: true, Labels: "{ site: lis }"}, "")
	f1 := r.add(cluster.Config{Name: "f1", Join: []*cluster.Node{root}}, r.token(root, admin.NewToken{Labels: map[string]string{"site": "lis"}}))
	apply := func(text string, now bool) admin.Applied {
		b, err := os.ReadFile(filepath.Join("..", "..", "nameserver", "plugin", "testdata", "guests", "acts.wasm"))
		r.must(err)
		b, err = wasm.Attach(b, []byte("abi: 1\nname: acts\nversion: '1'\nphases: [query]\npure: true\n"))
		r.must(err)
		done, err := r.api(root).Apply(r.ctx, admin.Apply{Files: []admin.SettingsFile{{Name: "modules", Text: "settings:\n" + text, Named: map[string][]byte{"acts.wasm": b}}}, Author: "ana", Reason: "r", Now: now, Merge: true})
		r.must(err)
		return done
	}
	first := apply("  recursion: { trust_anchors: none }\n  rollout: { waves: [canary, all], bake: 3s, patience: 60s, queries: 50 }\n  forward: [{ zone: \".\", servers: [\""+all.address+"\"] }]\n"+
		"  modules: [{ name: acts, file: acts.wasm }]\n  plugins: [{ module: acts, phase: query, off: true }]\n", true)
	r.reaches(first.Version, root, f1)

	for _, label := range []string{"address", "drop"} {
		done := make(chan struct{})
		var clients sync.WaitGroup
		ended := func() { close(done); clients.Wait() }
		for _, n := range []*cluster.Node{root, f1} {
			for range 8 { // who gets no answer waits
				clients.Go(func() {
					for {
						select {
						case <-done:
							return
						case <-time.After(20 * time.Millisecond):
						}
						m := new(dns.Msg).SetQuestion(label+".corp.example.", dns.TypeA)
						(&dns.Client{Timeout: 200 * time.Millisecond}).Exchange(m, n.Address+":5335")
					}
				})
			}
		}
		bad := apply("  plugins: [{ module: acts, phase: query }]\n", false)
		if end := r.becomes(root, bad.Rollout, "withdrawn"); !strings.Contains(end.Why, map[string]string{"address": "queries that modules answered or dropped", "drop": "failed queries"}[label]) {
			r.Errorf("%s: it was withdrawn because %q", label, end.Why)
		}
		ended()
		got, err := answer(f1, "address.corp.example.")
		if r.must(err); got != all.own {
			r.Errorf("%s: f1 answers %s", label, got)
		}
	}
}
