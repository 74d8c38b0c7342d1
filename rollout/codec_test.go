package rollout

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var wall = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// full is a document with something in every place.
func full() *Rollout {
	r := New("42", "settings", "admin@lis01", "a new <server> for corp.example", DefaultPlan(), wall)
	r.State, r.Wave, r.Canaries, r.Reached = Failed, 1, []string{"lis01", "ny03"}, 12
	r.Why, r.By = "3 nodes are silent", "somebody"
	r.Evidence = Evidence{Time: wall.Add(time.Minute), Wave: 1, Figures: []Figure{{What: "failed queries", Site: "lis", With: "50 of 60", Without: "1 of 600", Against: "nodes without it"}}}
	r.Baseline = &Sum{Results: [Classes]uint64{10, 2, 1}, Panics: 1, Faults: 2}
	r.Baseline.Latency.Observe(time.Millisecond, 13)
	return r
}

func TestDocument(t *testing.T) {
	b, err := full().Encode()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/document.json")
	if *update {
		err = os.WriteFile("testdata/document.json", append(b, '\n'), 0o644)
		want = append(b, '\n')
	}
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(b)+"\n"); d != "" {
		t.Errorf("the form of the document has changed; stores have the old one:\n%s", d)
	}
	r, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(full(), r, cmp.AllowUnexported(Rollout{}), cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".rest" }, cmp.Ignore())); d != "" {
		t.Error(d)
	}
}

// What a later release has put into a document is not lost when this one commits the next wave.
func TestDocumentKeepsWhatItDoesNotKnow(t *testing.T) {
	b, err := full().Encode()
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.Replace(b, []byte(`"id":"42"`), []byte(`"id":"42","approvals":[{"by":"alice"}],"STATE":"odd"`), 1)
	r, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	next := *r
	next.Wave = 2
	out, err := next.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"approvals":[{"by":"alice"}]`, `"STATE":"odd"`, `"wave":2`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s is gone from %s", want, out)
		}
	}
}

// The largest document that can be made fits into a key of the store.
func TestDocumentFits(t *testing.T) {
	r := full()
	text := strings.Repeat(`"`, 2*MaxText)
	*r = *New(ID(strings.Repeat("9", MaxID)), text, text, text, DefaultPlan(), wall)
	for i := range MaxCanaries {
		r.Canaries = append(r.Canaries, strings.Repeat(string(rune('a'+i/26))+string(rune('a'+i%26)), MaxName/2))
	}
	r.Why, r.By = clip(text, MaxText), clip(text, MaxAuthor)
	r.Baseline = &Sum{Results: [Classes]uint64{MaxCount, MaxCount, MaxCount, MaxCount, MaxCount}}
	for i := range r.Baseline.Latency {
		r.Baseline.Latency[i] = MaxCount
	}
	r.Evidence.Time = wall
	for range MaxFigures {
		r.Evidence.Figures = append(r.Evidence.Figures, Figure{text, text, text, text, text, text}.clipped())
	}
	b, err := r.Encode()
	t.Logf("%d octets of %d, %v", len(b), MaxDocument, err)
	if err != nil {
		t.Error(err)
	}
}

func TestDocumentRefused(t *testing.T) {
	good, err := full().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for old, c := range map[string]struct{ to, want string }{
		`"format":1`:          {`"format":2`, "its format is 2; this release reads 1"},
		`"id":"42"`:           {`"id":"4/2"`, "no id"},
		`"state":"failed"`:    {`"state":"frozen"`, "no state of a rollout that this release knows"},
		`"wave":1,"why"`:      {`"wave":4,"why"`, "wave 4 of 4"},
		`["lis01","ny03"]`:    {`["ny03","lis01"]`, "not names in order"},
		`["canary","10%"`:     {`["canary","canary"`, "canary can only be the first wave"},
		`"bake":"30s"`:        {`"bake":"often"`, "invalid duration"},
		`"results":[10,`:      {`"results":[10,10,`, "6 results"},
		`"what":"failed`:      {`"what":"` + strings.Repeat("x", MaxText) + `failed`, "more than 1024 octets"},
		`"reason":"a new `:    {`"reason":"` + strings.Repeat("x", MaxDocument) + ` `, "more than 49152"},
		`"subject":"settings`: {"\"subject\":\"\xff", "UTF-8"},
	} {
		bad := strings.Replace(string(good), old, c.to, 1)
		if bad == string(good) {
			t.Fatalf("%s is not in %s", old, good)
		}
		if _, err := Decode([]byte(bad)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, not %q", c.to[:min(len(c.to), 40)], err, c.want)
		}
	}
	var later *FormatError
	if _, err := Decode(bytes.Replace(good, []byte(`"format":1`), []byte(`"format":2`), 1)); !errors.As(err, &later) || later.Hint() == "" {
		t.Errorf("%v", err)
	}
}

// What can be read can be written, and is the same when it is read again.
func FuzzDecode(f *testing.F) {
	b, err := full().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"format":1,"id":"7","subject":"settings","opened":"2026-03-01T12:00:00Z","plan":{"waves":["canary"],"bake":"1s","patience":"1s","silence":"1s","queries":1,"margin":"1%"},"state":"queued","wave":0,"since":"2026-03-01T12:00:00Z","later":[1]}`))
	f.Add([]byte(`{"format":9}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Decode(b)
		if err != nil {
			return
		}
		once, err := r.Encode()
		if err != nil {
			if len(b) > MaxDocument/8 {
				return // it grows by what is written out
			}
			t.Fatalf("read, but can't be written: %v", err)
		}
		again, err := Decode(once)
		if err != nil {
			t.Fatalf("written, but can't be read: %v", err)
		}
		twice, err := again.Encode()
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%v\n%s\n%s", err, once, twice)
		}
		Holds(r, Member{Name: "lis01"})
	})
}

// A document of before the margin of what is blocked was in it has the default of that.
func TestDocumentWithoutBlocked(t *testing.T) {
	b, err := os.ReadFile("testdata/document-no-blocked.json")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if r.Plan.Blocked != DefaultPlan().Blocked {
		t.Errorf("its margin is %v", r.Plan.Blocked)
	}
}
