package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/admin/client"
	_ "github.com/ananas-edge/ananas/node" // it is what runs: results from before a change of it do not count
	"github.com/ananas-edge/ananas/test/cluster"
)

// binary is the program that all tests run.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "ananas-cluster")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(folder)
		binary = filepath.Join(folder, "ananas")
		build := exec.Command("go", "build", "-o", binary, "github.com/ananas-edge/ananas/cmd/ananas")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building ananas: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// patience bounds every wait of these tests; nothing takes so long that goes well. It is no measure of how fast anything is.
const patience = 2 * time.Minute

// rig is the cluster of one test.
type rig struct {
	*testing.T
	*cluster.Cluster
	ctx   context.Context
	nodes []*cluster.Node                  // that were started with add
	apis  map[*cluster.Node]*client.Client // one for each node: a node has room for 256 connections
}

// start makes a cluster with a range of addresses of its own.
func start(t *testing.T) *rig {
	c := &cluster.Cluster{Dir: t.TempDir(), Binary: binary, Net: reserve(t)}
	r := &rig{t, c, t.Context(), nil, make(map[*cluster.Node]*client.Client)}
	t.Cleanup(func() {
		for _, api := range r.apis {
			api.Close()
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for _, n := range r.nodes {
				t.Logf("the log of %s:\n%s", n.Name, n.Tail(60))
			}
		}
	})
	return r
}

// reserve returns the N of a range 127.N.0.0/16 that no other test has, in whatever process: who has it listens at its last address.
func reserve(t *testing.T) byte {
	for i := range 160 {
		n := byte(32 + (os.Getpid()+i)%160)
		guard, err := net.Listen("tcp", fmt.Sprintf("127.%d.255.254:8054", n))
		if err == nil {
			t.Cleanup(func() { guard.Close() })
			return n
		}
	}
	t.Fatal("all ranges of loopback addresses are taken")
	return 0
}

// in is the rig in a subtest.
func (r *rig) in(t *testing.T) *rig { return &rig{t, r.Cluster, t.Context(), nil, r.apis} }

// steps returns a function that runs the parts of a test one after the other. What comes after one that failed would say nothing, and is not run.
func (r *rig) steps() func(string, func(*rig)) {
	ok := true
	return func(name string, f func(*rig)) {
		ok = ok && r.Run(name, func(t *testing.T) { f(r.in(t)) })
	}
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// add makes a node and starts it.
func (r *rig) add(o cluster.Config, token string) *cluster.Node {
	r.Helper()
	n, err := r.Add(o)
	r.must(err)
	r.nodes = append(r.nodes, n)
	r.must(n.Start(token))
	return n
}

// eventually waits until what is asked is so.
func (r *rig) eventually(what string, so func() error) {
	r.Helper()
	end := time.NewTimer(patience)
	defer end.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := so()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-end.C:
			r.Fatalf("%s, and it is not so after %v: %v", what, patience, err)
		}
	}
}

// api returns a client of a node, as soon as it has an admin token.
func (r *rig) api(n *cluster.Node) *client.Client {
	r.Helper()
	c := r.apis[n]
	if c != nil {
		c.Close() // what a node that was killed has left
	}
	r.eventually(n.Name+" has an API", func() (err error) {
		if _, err = os.Stat(filepath.Join(n.Data, "admin.token")); err != nil {
			return err // a client looks for it once
		}
		if c == nil {
			c, err = n.API()
		}
		if err == nil {
			_, err = c.Status(r.ctx)
		}
		return err
	})
	r.apis[n] = c
	return c
}

// token makes a join token.
func (r *rig) token(root *cluster.Node, t admin.NewToken) string {
	r.Helper()
	var j admin.JoinToken
	c := r.api(root)
	r.eventually("a token is made", func() (err error) { j, err = c.NewToken(r.ctx, t); return err })
	return j.Token
}

// apply applies a text, with the part settings left out.
func (r *rig) apply(n *cluster.Node, text string, now bool, reason string) (admin.Applied, error) {
	r.Helper()
	return r.api(n).Apply(r.ctx, admin.Apply{Files: []admin.SettingsFile{{Name: "test.yaml", Text: "settings:\n" + text}}, Reason: reason, Author: "ana", Now: now})
}

func (r *rig) applied(n *cluster.Node, text string, now bool, reason string) admin.Applied {
	r.Helper()
	done, err := r.apply(n, text, now, reason)
	r.must(err)
	return done
}

// becomes waits until a rollout is in a state, and returns it.
func (r *rig) becomes(n *cluster.Node, id, state string) admin.Rollout {
	r.Helper()
	var last admin.Rollout
	c := r.api(n)
	r.eventually("rollout "+id+" becomes "+state, func() error {
		l, err := c.Rollouts(r.ctx, id)
		if err != nil {
			return err
		}
		last = l.Rollouts[0]
		if last.State != state {
			return fmt.Errorf("it is %s in wave %d: %s %q", last.State, last.Wave, last.Why, last.Evidence)
		}
		return nil
	})
	return last
}

// reaches waits until nodes have a version or a later one in use.
func (r *rig) reaches(version uint64, nodes ...*cluster.Node) {
	r.Helper()
	for _, n := range nodes {
		c := r.api(n)
		r.eventually(fmt.Sprintf("%s has version %d in use", n.Name, version), func() error {
			s, err := c.Status(r.ctx)
			if err == nil && s.Store.Applied < version {
				err = fmt.Errorf("it has version %d: %s", s.Store.Applied, s.Store.Error)
			}
			return err
		})
	}
}

// answer asks a node for the address of a name.
func answer(n *cluster.Node, name string) (string, error) {
	m := new(dns.Msg).SetQuestion(name, dns.TypeA)
	m.SetEdns0(1232, false) // for the extended errors
	got, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(m, n.Address+":5335")
	if err != nil {
		return "", err
	}
	if len(got.Answer) == 1 {
		if a, ok := got.Answer[0].(*dns.A); ok {
			return a.A.String(), nil
		}
	}
	text := dns.RcodeToString[got.Rcode]
	if opt := got.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				text += fmt.Sprintf(" (%d %s)", e.InfoCode, e.ExtraText)
			}
		}
	}
	return text, nil
}

// asked counts names, so that each question is a new one and no cache answers.
var asked atomic.Uint64

// answers waits until nodes answer names of a zone with an address.
func (r *rig) answers(zone, want string, nodes ...*cluster.Node) {
	r.Helper()
	for _, n := range nodes {
		r.eventually(n.Name+" answers names of "+zone+" with "+want, func() error {
			got, err := answer(n, fmt.Sprintf("n%d.%s", asked.Add(1), zone))
			if err == nil && got != want {
				err = fmt.Errorf("it answers %s", got)
			}
			return err
		})
	}
}

// says checks that an error is one, and has words in it or in its hint.
func (r *rig) says(err error, words ...string) {
	r.Helper()
	if err == nil {
		r.Fatalf("there is no error; want %q", words)
	}
	text := err.Error()
	var hint interface{ Hint() string }
	if errors.As(err, &hint) {
		text += " | " + hint.Hint()
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			r.Errorf("the error is %q; it lacks %q", text, word)
		}
	}
}

// server is a name server that answers every question about an address with its own. It counts what it is asked.
type server struct {
	address string // with a port
	own     string
	asked   atomic.Int64
}

// serve starts a server at an address of the cluster's range.
func (r *rig) serve(i byte) *server {
	r.Helper()
	s := &server{own: fmt.Sprintf("127.%d.200.%d", r.Net, i)}
	udp, err := net.ListenPacket("udp", s.own+":0")
	r.must(err)
	s.address = udp.LocalAddr().String()
	tcp, err := net.Listen("tcp", s.address)
	r.must(err)
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		s.asked.Add(1)
		m := new(dns.Msg).SetReply(q)
		m.RecursionAvailable = true
		name := q.Question[0].Name
		switch q.Question[0].Qtype {
		case dns.TypeA:
			m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.ParseIP(s.own).To4()}}
		case dns.TypeNS:
			m.Answer = []dns.RR{&dns.NS{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeNS, Class: dns.ClassINET}, Ns: "ns.test."}}
		default:
			m.Ns = []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeSOA, Class: dns.ClassINET}, Ns: "ns.test.", Mbox: "ns.test."}}
		}
		_ = w.WriteMsg(m)
	})
	for _, one := range []*dns.Server{{PacketConn: udp, Handler: handler}, {Listener: tcp, Handler: handler}} {
		ended := make(chan error, 1)
		started := make(chan struct{})
		one.NotifyStartedFunc = func() { close(started) }
		go func() { ended <- one.ActivateAndServe() }()
		<-started
		r.Cleanup(func() {
			_ = one.Shutdown()
			<-ended
		})
	}
	return s
}

// firstUse returns the version with which a node began to use a change set; 0: it never did.
func firstUse(n *cluster.Node, id string) uint64 {
	for _, l := range n.Lines() {
		if l.Msg == "settings in use" && slices.Contains(strings.Split(l.Sets, ","), id) {
			return uint64(l.Version)
		}
	}
	return 0
}

// ended waits until a node has ended by itself, and returns what it wrote since a line of its log.
func (r *rig) ended(n *cluster.Node, from int) string {
	r.Helper()
	r.eventually(n.Name+" ends", func() error {
		if n.PID() != 0 {
			return errors.New("it runs")
		}
		return nil
	})
	var text strings.Builder
	for _, l := range n.Lines()[from:] {
		fmt.Fprintln(&text, l.Msg, l.Error)
	}
	return text.String()
}
