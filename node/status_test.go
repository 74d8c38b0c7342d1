package node

import (
	"reflect"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/admin"
)

// The status tells where anchors are from, and which zones are not validated.
func TestStatusOfAnchors(t *testing.T) {
	const text = `
node: { data: data, cache: 4MiB, listen: { dns: ["127.0.0.1:0"], admin: "" } }
settings:
  recursion:
    root_hints: lab.hints
    negative_trust_anchors: [Corp.example, { zone: gone.example, until: 2020-01-01T00:00:00Z }, { zone: later.example, until: 2199-01-01T00:00:00Z }]
`
	b := newBench(t, text)
	n := b.start()
	s := n.Status(t.Context())
	if want := []admin.NegativeAnchorStatus{
		{Zone: "corp.example."}, {Zone: "gone.example.", Until: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), Ended: true},
		{Zone: "later.example.", Until: time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC)},
	}; !reflect.DeepEqual(s.NegativeAnchors, want) {
		t.Errorf("negative anchors are %+v", s.NegativeAnchors)
	}
	if a := s.TrustAnchors; len(a) != 1 || a[0].Zone != "." || !a[0].Updated || len(a[0].Keys) != 2 || a[0].Keys[0].From != admin.FromBuiltIn || a[0].Keys[0].State != admin.KeyUnseen || a[0].Next.IsZero() {
		t.Errorf("anchors are %+v", a)
	}

	b.write("lab.anchors", b.lab.TrustAnchors())
	b.write("node.yaml", text+"    trust_anchors: lab.anchors\n    trust_anchor_updates: false\n")
	if _, err := n.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := n.Status(t.Context()).TrustAnchors; len(a) != 1 || a[0].Updated || len(a[0].Keys) != 1 || a[0].Keys[0].From != admin.FromSettings || a[0].Keys[0].State != admin.KeyFixed {
		t.Errorf("anchors are %+v", a)
	}

	b.write("node.yaml", plain)
	if _, err := n.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := n.Status(t.Context()); len(s.TrustAnchors) != 0 || len(s.NegativeAnchors) != 0 {
		t.Errorf("nothing is validated, and the status has %+v", s)
	}
}
