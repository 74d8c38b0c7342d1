package node

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/store/etcd"
)

// A member of the root is told as one that can't be reached if it takes no connection, or if its node has fallen silent.
func TestRootMembers(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	here, away := "https://"+listener.Addr().String(), "https://"+gone.Addr().String()
	seen := time.Unix(1e9, 0)
	got := rootMembers(t.Context(), []etcd.Member{
		{Name: "self", URL: "http://nowhere"}, {Name: "leads", URL: here, Leads: true}, {Name: "new", URL: here, Learner: true}, {Name: "unheard", URL: here},
		{Name: "silent", URL: here}, {Name: "gone", URL: away, Leads: true}, {Name: "", URL: away, Learner: true},
	}, "self", []admin.Node{{Name: "self", Seen: seen}, {Name: "leads", Seen: seen, Up: true}, {Name: "silent", Seen: seen}, {Name: "gone", Seen: seen, Up: true}, {Name: "unheard"}})
	text := ""
	for _, m := range got {
		text += fmt.Sprintf("%s=%s ", m.Name, m.State)
		if m.Self != (m.Name == "self") || (m.Address == "") != m.Self {
			t.Errorf("%+v", m)
		}
	}
	if want := "self=follower leads=leader new=learner unheard=follower silent=unreachable gone=unreachable =unreachable "; text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}
