package etcd

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// maxStart is the length of what the child is told, in octets: nine members and a few paths.
const maxStart = 64 << 10

// stopTime is how long a member may take to end in good order.
const stopTime = 5 * time.Second

// earlyStopTime is how long one may take that no majority has heard of yet, since the other members are down: etcd's own end waits there for what does not come. It has answered nobody, and what it told
// other members, a vote, was on the disk before that.
const earlyStopTime = 250 * time.Millisecond

// socketName is the file of the socket in the folder.
const socketName = "client.sock"

// said is a line that the child writes.
type said struct {
	Ready   bool   `json:"ready,omitempty"`   // it answers from now on
	Member  uint64 `json:"member,omitempty"`  // its number in the cluster
	Removed bool   `json:"removed,omitempty"` // it was taken out of the cluster, and ends
	Error   string `json:"error,omitempty"`   // it ends
}

// RunMember is what the child process does: it runs etcd as it is told by the first line of in, until in ends, which is when the node has ended,
// however it did. Lines for the node go to out; etcd's own log to the standard error.
func RunMember(in io.Reader, out io.Writer) error {
	lines := json.NewEncoder(out)
	err := runMember(in, lines)
	if err != nil && !errors.Is(err, errRemoved) {
		_ = lines.Encode(said{Error: err.Error()}) // a node that is gone does not hear it
	}
	return err
}

var errRemoved = errors.New("this member was taken out of the root")

func runMember(in io.Reader, lines *json.Encoder) error {
	r := bufio.NewReader(io.LimitReader(in, maxStart))
	line, err := r.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("reading what etcd is to be started with: %w", err)
	}
	var s start
	if err := json.Unmarshal(line, &s); err != nil {
		return fmt.Errorf("reading what etcd is to be started with: %w", err)
	}
	if err := os.MkdirAll(s.Folder, 0o700); err != nil {
		return fmt.Errorf("making the folder of etcd: %w", err)
	}
	lock, err := lockFolder(s.Folder)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := os.Chdir(s.Folder); err != nil { // so that the name of the socket is short: its path may have 108 octets at most
		return fmt.Errorf("going to the folder of etcd: %w", err)
	}
	config, err := s.embed()
	if err != nil {
		return err
	}
	e, err := embed.StartEtcd(config)
	if err != nil {
		return fmt.Errorf("starting etcd: %w", err)
	}
	closed, within := make(chan struct{}), earlyStopTime
	stop := func() {
		go func() { e.Close(); close(closed) }()
		select {
		case <-closed:
		case <-time.After(within): // what it has promised is on the disk
		}
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, in)
	}()
	ready := e.Server.ReadyNotify()
	for {
		select {
		case <-ready:
			ready, within = nil, stopTime
			if err := lines.Encode(said{Ready: true, Member: uint64(e.Server.MemberID())}); err != nil {
				stop()
				return fmt.Errorf("telling the node that etcd is ready: %w", err)
			}
		case <-gone:
			stop()
			return nil
		case <-e.Server.StopNotify():
			if e.Server.Cluster().Member(e.Server.MemberID()) == nil {
				_ = lines.Encode(said{Removed: true})
				return errRemoved
			}
			return errors.New("etcd stopped by itself")
		case err := <-e.Err():
			return fmt.Errorf("serving etcd: %w", err)
		}
	}
}

// lockFolder holds a folder against other processes until the file is closed. Without it a second member would take the first one's socket away, and then wait for its data.
func lockFolder(folder string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the folder of etcd: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking the folder of etcd %q: another process uses it: %w", folder, err)
	}
	return f, nil
}

// embed makes etcd's configuration. Heartbeat (100 ms) and election (1 s) are etcd's own: they suit members up to some 50 ms apart, and give a new leader within two seconds.
func (s *start) embed() (*embed.Config, error) {
	c := embed.NewConfig()
	c.Name, c.Dir = s.Name, s.Folder
	c.InitialClusterToken, c.InitialCluster = s.Token, s.Cluster
	c.ClusterState = embed.ClusterStateFlagNew
	if s.Existing {
		c.ClusterState = embed.ClusterStateFlagExisting
	}

	socket := url.URL{Scheme: "unix", Path: socketName}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{socket}, []url.URL{socket}
	c.EnableGRPCGateway = false
	c.ListenPeerUrls = nil // no port
	advertised, err := url.Parse(s.url())
	if err != nil {
		return nil, fmt.Errorf("reading the address of this member: %w", err)
	}
	c.AdvertisePeerUrls = []url.URL{*advertised}
	if p := s.Peer; p != nil {
		c.ListenPeerUrls = []url.URL{{Scheme: "https", Host: p.Listen}}
		tls := &c.PeerTLSInfo
		tls.CertFile, tls.KeyFile, tls.TrustedCAFile = p.Cert, p.Key, p.CA
		tls.ClientCertAuth = true
		tls.ServerName = p.ServerName                 // of whom this member connects to
		tls.AllowedHostnames = []string{p.ServerName} // in the certificate of the other end, in both directions
		tls.SkipClientSANVerify = true                // addresses change; the name decides
		c.TlsMinVersion = "TLS1.3"
	}

	c.QuotaBackendBytes, c.MaxTxnOps, c.MaxRequestBytes = s.Quota, maxOps, maxRequest
	c.SnapshotCount, c.SnapshotCatchUpEntries = raftKept, raftKept
	c.LogLevel, c.LogOutputs = "warn", []string{embed.StdErrLogOutput}
	return c, nil
}
