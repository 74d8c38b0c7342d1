package cluster_test

import (
	"context"
	wire "encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/test/cluster"
	"github.com/ananas-edge/ananas/wasm"
)

// A module that means harm is ended by its limits wherever it does, in the loop that answers from the cache and beside it; the query that it was to do it for is answered as its mode says, and all others
// meanwhile as if nothing were. What begins with harm, or is too large, is refused before it is committed. The node goes on all the time.
func TestHostileModules(t *testing.T) {
	t.Parallel()
	r := start(t)
	all := r.serve(1)
	node := r.add(cluster.Config{Name: "root1", Root: true}, "")
	first := r.applied(node, "  recursion: { trust_anchors: none }\n  forward: [{ zone: \".\", servers: [\""+all.address+"\"] }]\n", true, "first")
	r.reaches(first.Version, node)
	pid := node.PID()

	guest, err := os.ReadFile(filepath.Join("..", "..", "nameserver", "plugin", "testdata", "guests", "hostile.wasm"))
	r.must(err)
	attached := func(manifest string) []byte {
		b, err := wasm.Attach(guest, []byte("abi: 1\nname: hostile\nphases: [query]\n"+manifest))
		r.must(err)
		return b
	}
	apply := func(module []byte, limits, settings string) (admin.Applied, error) {
		text := fmt.Sprintf("settings:\n  modules: [{ name: hostile, file: hostile.wasm, limits: { %s } }]\n  plugins: [{ module: hostile, phase: query, mode: closed, settings: { %s } }]\n", limits, settings)
		return r.api(node).Apply(r.ctx, admin.Apply{
			Files:  []admin.SettingsFile{{Name: "modules", Text: text, Named: map[string][]byte{"hostile.wasm": module}}},
			Author: "ana", Reason: "harm", Now: true, Merge: true,
		})
	}

	// What is refused.
	_, err = apply(attached("version: '0'\n"), "", "start: forever")
	r.says(err, "hostile", "its fuel")
	for octets, why := range map[int]string{9 << 20: "octets, at most 8388608\n\thint: is it the right file? Make it smaller, or raise limits.size", 60 << 20: "too large"} {
		large := attached("version: '0'\n")
		large = wire.AppendUvarint(append(large, 0), uint64(octets)) // a custom section
		_, err = apply(append(large, make([]byte, octets)...), "", "")
		r.says(err, why)
	}

	// Honest queries, old names and new ones, from before the first module until after the last.
	ctx, done := context.WithCancel(r.ctx)
	var honest sync.WaitGroup
	asked := make([]int, 2)
	for k := range asked {
		honest.Go(func() {
			for ; ctx.Err() == nil; asked[k]++ {
				name := "www.corp.example."
				if k == 1 {
					name = fmt.Sprintf("w%d.corp.example.", asked[k])
				}
				if got, err := answer(node, name); err != nil || got != all.own {
					r.Errorf("%s is answered %s: %v", name, got, err)
					return
				}
			}
		})
	}
	defer honest.Wait()
	defer done()

	// One batch of harm is for one instance of the settings: ten faults take a module out.
	harms := [][]string{{"loop", "spin", "grow", "grab", "fill", "recurse"}, {"flood", "wild", "wildhost", "trap", "long"}}
	faults := 0
	for k, limits := range []string{"", "fuel: 5000000"} { // in the loop, and in slices
		for i, harm := range harms {
			applied, err := apply(attached(fmt.Sprintf("version: '%d'\n", 1+k)), limits, fmt.Sprintf("batch: \"%d\"", i))
			r.must(err)
			r.reaches(applied.Version, node)
			for _, label := range harm {
				got, err := answer(node, label+".corp.example.")
				if err != nil || !strings.HasPrefix(got, "SERVFAIL (0 the module hostile failed") {
					r.Errorf("%s with limits %q: %s: %v", label, limits, got, err)
				}
				faults++
			}
		}
	}
	done()
	honest.Wait()
	if asked[0] < 10 || asked[1] < 10 {
		r.Errorf("%d honest queries were answered meanwhile", asked)
	}
	l, err := r.api(node).Modules(r.ctx)
	r.must(err)
	if len(l.Modules) != 1 || l.Modules[0].Alarm != "" || len(l.Modules[0].Uses) != 1 || l.Modules[0].Uses[0].Out || l.Modules[0].Uses[0].Faults != uint64(faults) {
		r.Errorf("%d faults, and the node says %+v", faults, l.Modules)
	}
	for _, line := range node.Lines() {
		if strings.Contains(line.Msg, "panic") || strings.Contains(line.Msg, "crash") {
			r.Errorf("%s %s", line.Msg, line.Error)
		}
	}
	if node.PID() != pid {
		r.Error("the node has ended")
	}
}
