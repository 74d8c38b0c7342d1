package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/admin/client"
)

// Of which nodes that are up a version is in use, and when that is all that is to be waited for.
func TestUptake(t *testing.T) {
	have, old := admin.Node{Name: "lis01", Up: true, Version: 7}, admin.Node{Name: "lis02", Up: true, Version: 6}
	down := admin.Node{Name: "opo01", Version: 3}
	gone := admin.Node{Name: "opo03", Version: 3, Revoked: time.Unix(1, 0)}
	refuses := admin.Node{Name: "opo02", Up: true, Version: 6, Error: "no room"}
	for what, c := range map[string]struct {
		nodes  []admin.Node
		look   int
		want   string
		settle bool
	}{
		"all have it":                      {[]admin.Node{have, have}, 1, "2 of 2 []", true},
		"one is down":                      {[]admin.Node{have, down}, 1, "1 of 2 [opo01, which is silent, and takes it when it is back]", true},
		"one is late":                      {[]admin.Node{have, old}, 50, "1 of 2 [lis02, which has version 6]", false},
		"one refuses, or did so before":    {[]admin.Node{have, refuses}, uptakeErrors - 1, "1 of 2 [opo02, which keeps version 6: no room]", false},
		"one refuses":                      {[]admin.Node{have, refuses}, uptakeErrors, "1 of 2 [opo02, which keeps version 6: no room]", true},
		"one refuses, and another is late": {[]admin.Node{old, refuses}, uptakeErrors, "0 of 2 [lis02, which has version 6 opo02, which keeps version 6: no room]", false},
		"one was removed":                  {[]admin.Node{have, gone}, 1, "1 of 1 []", true},
		"none was heard of yet":            {[]admin.Node{down}, 50, "0 of 1 [opo01, which is silent, and takes it when it is back]", false},
	} {
		u := uptakeOf(&admin.Root{Nodes: c.nodes}, 7)
		if got := fmt.Sprintf("%d of %d %v", u.Have, u.Of, u.Late); got != c.want || u.settled(c.look) != c.settle {
			t.Errorf("%s: %s, settled %v; want %s, %v", what, got, u.settled(c.look), c.want, c.settle)
		}
	}
}

// A node that answers slowly is not waited for longer than the rest: what it has told by then is told.
func TestUptakeOfASlowNode(t *testing.T) {
	var looks atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if looks.Add(1) > 1 {
			<-r.Context().Done()
			return
		}
		io.WriteString(w, `{"nodes":[{"name":"lis01","up":true,"version":7},{"name":"lis02","up":true,"version":6}]}`)
	}))
	defer s.Close()
	node, err := client.New(client.Options{Node: s.URL, Token: "x"})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	var stdout, stderr bytes.Buffer
	p := &process{ctx: t.Context(), stdout: &stdout, stderr: &stderr, env: func(string) string { return "" }, wait: func(context.Context, time.Duration) {}}
	u, err := awaitUptake(p, node, 7, false, time.Second)
	if err != nil || u == nil || u.Have != 1 || u.Of != 2 || looks.Load() != 2 || stdout.String() != "in use at 1 of 2 nodes\n" || !strings.Contains(stderr.String(), "lis02, which has version 6") {
		t.Errorf("%+v, %v after %d looks: %s%s", u, err, looks.Load(), &stdout, &stderr)
	}
}

// A node that tells of no node in time is no reason to say nothing, or that all have it.
func TestUptakeIsNotKnown(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer s.Close()
	node, err := client.New(client.Options{Node: s.URL, Token: "x"})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	var stdout, stderr bytes.Buffer
	p := &process{ctx: t.Context(), stdout: &stdout, stderr: &stderr, env: func(string) string { return "" }, wait: func(context.Context, time.Duration) {}}
	u, err := awaitUptake(p, node, 7, false, time.Millisecond)
	if err != nil || u != nil || stdout.Len() > 0 || !strings.Contains(stderr.String(), "version 7 is live, and which nodes have it in use is not known") {
		t.Errorf("%+v, %v: %s%s", u, err, &stdout, &stderr)
	}
}
