package node

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/dns"
)

var (
	exampleCom = dns.MustParseName("example.com")
	wwwExample = dns.MustParseName("www.example.com")
)

// A reload swaps the settings in whole and keeps what was learned; a file that is wrong changes nothing, and the status says so until
// one is right.
func TestReload(t *testing.T) {
	b := newBench(t, plain)
	n := b.start()
	askA(t, n, "www.example.com", "192.0.2.80")
	asked := b.lab.Asked(wwwExample, dns.TypeA)
	table := n.server.Table()

	same, err := n.Reload(t.Context())
	if err != nil || len(same.Changed) != 0 || len(same.Restart) != 0 {
		t.Errorf("a file that is the same: %+v, %v", same, err)
	}
	if n.server.Table() != table {
		t.Error("a file that says the same swaps the table")
	}

	b.write("node.yaml", plain+"  limits: { client_time: 3s }\n")
	done, err := n.Reload(t.Context())
	if err != nil || !slices.Equal(done.Changed, []string{"settings.limits.client_time"}) || len(done.Restart) != 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	good := n.server.Table()
	if good == table || good.Limits.ClientTime.String() != "3s" {
		t.Errorf("the table was not swapped: %v", good.Limits)
	}
	askA(t, n, "www.example.com", "192.0.2.80")
	if now := b.lab.Asked(wwwExample, dns.TypeA); now != asked {
		t.Errorf("what was cached is asked for again after a reload: %d questions, then %d", asked, now)
	}
	if s := n.Status(t.Context()); s.Settings.Error != "" || s.Settings.Source != b.file {
		t.Errorf("the status says %+v", s.Settings)
	}

	// A file that they name says something else, and they do not.
	hints, err := os.ReadFile(filepath.Join(filepath.Dir(b.file), "lab.hints"))
	if err != nil {
		t.Fatal(err)
	}
	b.write("lab.hints", string(hints)+"; another content\n")
	if done, err := n.Reload(t.Context()); err != nil || !slices.Equal(done.Changed, []string{"the content of lab.hints"}) {
		t.Errorf("of other hints it says %+v, %v", done, err)
	}
	if done, err := n.Reload(t.Context()); err != nil || len(done.Changed) != 0 {
		t.Errorf("and then %+v, %v", done, err)
	}
	good = n.server.Table()

	for name, c := range map[string]struct{ text, says string }{
		"unknown key":   {plain + "  acess: { allow: [192.0.2.0/24] }\n", "settings.acess"},
		"no YAML":       {"node: [", "node.yaml:2:1: not YAML"},
		"does not fit":  {plain + "  access: { allow: [], cache_only: [192.0.2.0/24] }\n", "settings.access.cache_only[0]"},
		"no such hints": {strings.Replace(plain, "lab.hints", "gone.hints", 1), "gone.hints"},
	} {
		b.write("node.yaml", c.text)
		if _, err := n.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if n.server.Table() != good {
			t.Errorf("%s: the table was swapped", name)
		}
		if s := n.Status(t.Context()).Settings; !strings.Contains(s.Error, c.says) {
			t.Errorf("%s: the status says %+v", name, s)
		}
		if _, page := get(t, n, "/readyz"); !strings.Contains(page, "the last reload was refused") || metric(t, n, "ananas_settings_reload_failed") != "1" {
			t.Errorf("%s: /readyz says %s", name, page)
		}
		askA(t, n, "www.example.com", "192.0.2.80")
	}
	if err := os.Remove(b.file); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Reload(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is gone: %v", err)
	}

	// A right one ends it.
	b.write("node.yaml", plain)
	if _, err := n.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := n.Status(t.Context()).Settings; s.Error != "" {
		t.Errorf("the status says %+v", s)
	}
	if _, page := get(t, n, "/readyz"); strings.Contains(page, "settings") || metric(t, n, "ananas_settings_reload_failed") != "0" {
		t.Errorf("/readyz says %s", page)
	}
	b.write("node.yaml", strings.Replace(plain, "cache: ", "cache: 1", 1))
	if r, err := n.Reload(t.Context()); err != nil || len(r.Restart) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, page := get(t, n, "/readyz"); !strings.Contains(page, "takes a restart: node.cache") {
		t.Errorf("/readyz says %s", page)
	}
}

// Settings hold from the reload on, for the clients that they are about.
func TestReloadIsHonoured(t *testing.T) {
	b := newBench(t, plain)
	n := b.start()
	askA(t, n, "www.example.com", "192.0.2.80")
	b.write("node.yaml", plain+"  access: { allow: [192.0.2.0/24] }\n")
	if _, err := n.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := ask(t, "udp", n.Addrs()[0], query("www.example.com", miekg.TypeA)); r.Rcode != miekg.RcodeRefused {
		t.Errorf("a client that is no longer allowed:\n%v", r)
	}
}

// A change of what a file holds, which shows in no key, is swapped in too.
func TestReloadOfANamedFile(t *testing.T) {
	b := newBench(t, plain)
	n := b.start()
	before := n.server.Table()
	b.write("lab.hints", ". 60 IN NS a.elsewhere.\na.elsewhere. 60 IN A 192.0.2.99\n")
	if r, err := n.Reload(t.Context()); err != nil || !slices.Equal(r.Changed, []string{"the content of lab.hints"}) {
		t.Fatalf("%+v, %v", r, err)
	}
	if n.server.Table() == before {
		t.Error("other root hints are not taken")
	}
}

// What is read at the start alone is named at each reload until there was a restart.
func TestReloadNamesWhatNeedsARestart(t *testing.T) {
	b := newBench(t, plain)
	n := b.start()
	b.write("node.yaml", strings.Replace(strings.Replace(plain, "4MiB", "8MiB", 1), "node-1", "node-2", 1)+"  cache: { stale: 1h }\n")
	want := []string{"node.name", "node.cache"}
	for i := range 2 {
		r, err := n.Reload(t.Context())
		if err != nil || !slices.Equal(r.Restart, want) || i == 0 != slices.Equal(r.Changed, []string{"settings.cache.stale"}) {
			t.Errorf("reload %d: %+v, %v", i+1, r, err)
		}
	}
	if s := n.Status(t.Context()); s.Name != "node-1" || s.Cache.Capacity != 4<<20 || !slices.Equal(s.Settings.Restart, want) {
		t.Errorf("changed without a restart: %+v", s)
	}

	// So is what the part settings has of that kind; and there is nothing to wait for when the file says again what it said at the start.
	b.write("node.yaml", strings.Replace(plain, "none", "none, limits: { sockets: 100 }", 1))
	want = []string{"settings.recursion.limits.sockets"}
	for i := range 2 {
		if r, err := n.Reload(t.Context()); err != nil || !slices.Equal(r.Restart, want) || !slices.Equal(n.Status(t.Context()).Settings.Restart, want) {
			t.Errorf("reload %d: %+v, %v", i+1, r, err)
		}
	}
	b.write("node.yaml", "no settings")
	if _, err := n.Reload(t.Context()); err == nil || !slices.Equal(n.Status(t.Context()).Settings.Restart, want) {
		t.Errorf("a file that is refused changes what waits: %v", err)
	}
	b.write("node.yaml", plain)
	if r, err := n.Reload(t.Context()); err != nil || len(r.Restart) != 0 || len(n.Status(t.Context()).Settings.Restart) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// A file that is empty for a moment, as an editor leaves it, is no file with the defaults.
func TestReloadOfAnEmptyFile(t *testing.T) {
	b := newBench(t, plain)
	n := b.start()
	for _, text := range []string{"", "\n", "# nothing yet\n"} {
		b.write("node.yaml", text)
		var hint interface{ Hint() string }
		if _, err := n.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "has no settings") || !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "{}") {
			t.Errorf("%q: %v", text, err)
		}
		askA(t, n, "www.example.com", "192.0.2.80")
	}
	b.write("node.yaml", "{}")
	if r, err := n.Reload(t.Context()); err != nil || !slices.Contains(r.Changed, "settings.recursion.root_hints") {
		t.Errorf("%+v, %v", r, err)
	}
}

// A node without a file says that there is none to read.
func TestReloadWithoutAFile(t *testing.T) {
	b := newBench(t, plain)
	o, err := b.options()
	if err != nil {
		t.Fatal(err)
	}
	o.Reread = nil
	n, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	var hint interface{ Hint() string }
	if _, err := n.Reload(t.Context()); !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "--config") {
		t.Errorf("%v", err)
	}
}

// What clients made the node learn can be seen and taken out.
func TestCacheCommands(t *testing.T) {
	b := newBench(t, plain)
	n := b.start()
	askA(t, n, "www.example.com", "192.0.2.80")
	askA(t, n, "nobody.example.com", "")
	list, err := n.ListCache(t.Context(), admin.CacheQuery{Name: exampleCom, Subtree: true, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list.Entries {
		if e.Kind != "delegation" || e.Name == exampleCom.String() { // which root server was asked is drawn by lot
			_, zone, _ := strings.Cut(e.Source, " for ")
			got = append(got, strings.Join([]string{e.Kind, e.Name, e.Type, "for", zone}, " "))
		}
	}
	want := []string{
		"delegation example.com. NS for .", "rrset example.com. DS for .",
		"denial nobody.example.com. NXDOMAIN for example.com.", "rrset www.example.com. A for example.com.",
	}
	if !slices.Equal(got, want) {
		t.Fatalf("cached are\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if one, err := n.ListCache(t.Context(), admin.CacheQuery{Name: exampleCom, Subtree: true, Limit: 1}); err != nil || len(one.Entries) != 1 || !one.More {
		t.Errorf("one entry of several: %+v, %v", one, err)
	}
	asked := b.lab.Asked(wwwExample, dns.TypeA)
	purged, err := n.PurgeCache(t.Context(), admin.Purge{Name: exampleCom, Subtree: true})
	if err != nil || purged.Left != 0 || purged.Removed < len(list.Entries) || purged.Removed != sum(purged.Kinds) {
		t.Errorf("%+v, %v", purged, err)
	}
	askA(t, n, "www.example.com", "192.0.2.80")
	if now := b.lab.Asked(wwwExample, dns.TypeA); now <= asked {
		t.Errorf("what was purged is not asked for again: %d questions, then %d", asked, now)
	}
}

func sum(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}
