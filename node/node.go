package node

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/listen"
	"github.com/ananas-edge/ananas/nameserver"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/nameserver/zone"
	"github.com/ananas-edge/ananas/settings"
	"github.com/ananas-edge/ananas/store/replica"
	"github.com/ananas-edge/ananas/telemetry"
)

// Options are what a node is started from.
type Options struct {
	File    *settings.File
	Reread  func() (*settings.File, error) // for Reload; nil: there is no file to read again
	Network recurse.Network                // towards name servers; nil: this machine's
	Clock   recurse.Clock                  // the zero value: this machine's
	Anchors string                         // file of what is known of trust anchors; "": AnchorFile in the data folder
	Version string
	Log     *slog.Logger // nil: silent

	// Etcd makes the process in which a member of a store's root runs etcd. It is needed where the file has node.store.root.
	Etcd func() *exec.Cmd

	// Compiler makes the process in which a module is compiled: this program, running wasm.RunCompiler. It is needed where settings name modules.
	Compiler func() *exec.Cmd
	// Token is what the node joins a store with; "" where it has joined, or founds one.
	Token string
}

// Node is one running node.
type Node struct {
	reread  func() (*settings.File, error)
	version string
	started time.Time
	log     *slog.Logger

	clock     recurse.Clock
	metrics   *telemetry.Metrics
	crashes   *telemetry.Crashes
	health    *telemetry.Health
	cache     *cache.Cache
	resolver  *recurse.Resolver
	local     *zone.LocalRoot
	server    *nameserver.Server
	anchors   *anchors
	time      *timekeeper
	collector *collector
	folder    *folderLock
	modules   *modules
	shared    *shared          // its part in a store; nil where its file is the truth
	history   *replica.Replica // the versions that were loaded, where its file is the truth; nil: they are not kept
	listen    *listen.Server
	admin     *admin.Server

	adminAddr netip.AddrPort

	mu          sync.Mutex // guards what a reload changes; queries never take it
	file        *settings.File
	began       *settings.File // what the node was started from
	fingerprint string
	tables      *settings.Tables // that are in use
	disk        *namedfile.Disk  // reads the files that settings name

	lastReload atomic.Pointer[lastReload] // what came of it; stored under mu, read by who must not wait
}

// shutdownTime is how long queries under way may take to end when the node stops. A client asks again after some seconds anyway, and an
// operator who stops a node wants it to be gone.
const shutdownTime = 500 * time.Millisecond

// Start opens a node and serves. The order matters, and each step says why it stands where it does. On an error nothing is left open. ctx is for the start
// alone: what waits in it (for the root of a store to join, for another process to let go of the copy) ends with ctx, and the error says so; a node that serves is ended by Close.
func Start(ctx context.Context, o Options) (_ *Node, err error) {
	n := &Node{reread: o.Reread, version: o.Version, log: o.Log, file: o.File, began: o.File, disk: namedfile.NewDisk(namedfile.MachineTime)}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	defer func() {
		if err != nil {
			n.Close()
		}
	}()
	own := o.File.Node
	o.File.ReadBy(n.disk)

	// What is wrong with the settings is told before anything is touched.
	tables, err := o.File.Compile(listeners(own.Listen.DNS))
	if err != nil {
		return nil, err
	}

	// The ports are looked at next: a second node on the same address must not get as far as the first one's data. They are bound when this one can answer.
	n.metrics = telemetry.NewMetrics()
	n.metrics.Process(time.Now())
	n.health = telemetry.NewHealth()
	n.clock = n.clocks(o.Clock, own.Testing)
	n.started = n.clock.Wall()
	n.lastReload.Store(&lastReload{loaded: n.started})
	n.crashes = telemetry.NewCrashes(filepath.Join(own.Data, "crashes"), n.metrics, n.log, n.clock.Wall)
	sockets, err := n.sockets(own)
	if err != nil {
		return nil, err
	}
	defer func() {
		if n.listen == nil {
			for _, f := range sockets.Inherited {
				f.Close()
			}
		}
	}()
	if len(sockets.DNS) > 0 {
		if err := listen.Free(sockets); err != nil {
			return nil, err
		}
	}
	if err := MakeFolder(own.Data); err != nil {
		return nil, err
	}
	n.folder = lockFolder(own.Data, n.log)
	n.health.Warn("data-folder", n.folder.warning)

	// Modules are compiled once, into the data folder; what is wrong with one is told before anybody is answered.
	if err := n.openModules(own, o.Compiler); err != nil {
		return nil, err
	}
	if tables, err = n.withModules(ctx, o.File, tables); err != nil {
		return nil, err
	}

	// A node of a store takes its settings from its copy, and needs nobody for that.
	wait := false
	if own.Store.Shared() {
		if n.shared, err = openShared(ctx, n, own, o); err != nil {
			return nil, err
		}
		if file, stored := n.shared.use.first(); file != nil {
			tables.Nameserver.Plugins.Release() // those of the file are not taken
			n.file, tables = file, stored
		} else {
			n.shared.waits = n.shared.copy.View().Head().Version > 0
			wait = n.shared.etcd == nil || len(own.Store.Join) > 0 || n.shared.waits // a new store has the defaults, but to follow one is not to make up settings
		}
	}
	n.fingerprint, n.tables = tables.Fingerprint(), tables
	n.modules.chain, n.modules.table = tables.Nameserver.Plugins, tables.Plugins

	random := newRandom()
	n.cache, err = cache.New(cache.Config{Bytes: int64(own.Cache), Now: n.clock.Boot, Seed: random(), Table: tables.Cache, Metrics: n.metrics})
	if err != nil {
		return nil, err
	}
	network := o.Network
	if network == nil {
		network = recurse.SystemNetwork{}
	}
	earliest, saved := n.earliestTime(own)
	n.local = n.newLocalRoot(own, network, random)
	n.resolver = recurse.New(recurse.Config{
		Earliest: earliest, LocalRoot: n.local,
		Network: network, Clock: n.clock, Random: random, Cache: n.cache, Limits: tables.Nameserver.Recursion.Limits,
		Metrics: n.metrics, Crashes: n.crashes, Log: n.log,
	})
	// What is known of trust anchors is older than the settings, and holds from the first query on.
	n.anchors = newAnchors(n, cmp.Or(o.Anchors, filepath.Join(own.Data, AnchorFile)))
	table := n.anchors.configure(tables.Nameserver)
	n.server = nameserver.New(nameserver.Config{
		Resolver: n.resolver, Cache: n.cache, Clock: n.clock, Random: random, Table: table, Metrics: n.metrics, Crashes: n.crashes,
		Log: n.log, Version: n.version, Name: nodeName(own), NSID: own.Name,
	})

	// What there is of the root zone without the network is there before the first query; it is verified by the anchors that hold.
	n.local.Configure(tables.Nameserver.Recursion.LocalRoot, n.localRootFile(n.file, tables.Nameserver.Recursion.LocalRoot.File))
	n.local.Start()

	// All that takes long is done, as to compile a list of millions of names that is not there yet: to hold the ports before would have clients wait for nobody.
	if len(sockets.DNS) > 0 {
		if n.listen, err = listen.Open(sockets); err != nil {
			return nil, err
		}
	}

	if n.shared != nil {
		n.shared.watchStore()
		n.shared.start(own)
	} else {
		n.keepVersions(own)
	}

	// The API can be asked as soon as it listens, so what it reaches is there by now; it says not ready until the node serves.
	if err := n.openAdmin(own); err != nil {
		return nil, err
	}
	if n.listen != nil {
		if wait {
			n.log.Info("waiting for the first version of the store's settings; queries are answered from then on")
			go n.shared.first(func() { n.listen.Serve(n.server) })
		} else {
			n.listen.Serve(n.server)
		}
	}
	n.watchReloads()
	n.mu.Lock()
	n.watchModules()
	n.mu.Unlock()
	n.anchors.serve(n.server)
	n.time = n.keepTime(own, earliest, saved)
	n.collector = paceCollector(n.server, n.metrics)
	n.health.Check("serving", func() error { return nil })
	n.log.Info("serving", "dns", n.Addrs(), "admin", n.adminAddr, "version", n.version, "settings", n.source())
	for _, w := range tables.Warnings(n.clock.Wall()) {
		n.log.Warn(w.Text, "hint", w.Hint)
	}
	if !tables.Nameserver.Recursion.Validates() {
		n.log.Warn("answers are not validated: recursion.trust_anchors is none")
	}
	return n, nil
}

// clocks returns the clocks that the settings ask for; c is what they begin with.
func (n *Node) clocks(c recurse.Clock, t settings.Testing) recurse.Clock {
	if c.Boot == nil {
		c = systemClock()
	}
	if !t.Active() {
		return c
	}
	const warning = "node.testing is set: this node runs on other time than the world's and must not serve it"
	n.log.Warn(warning)
	clock, trouble := testingClock(c, t.Clock, t.OffsetFile)
	n.health.Warn("testing", func() string {
		if why := trouble(); why != "" {
			return warning + "; " + why
		}
		return warning
	})
	return clock
}

// sockets says what clients ask on. A file always names an address; a node that is started by a test on other time than sockets keep has none, and no server.
func (n *Node) sockets(own settings.Node) (listen.Config, error) {
	if len(own.Listen.DNS) == 0 {
		return listen.Config{}, nil
	}
	given, err := listen.ActivatedFiles(os.Getenv, os.Getpid())
	if err != nil {
		return listen.Config{}, err
	}
	limits := listen.DefaultLimits()
	limits.Connections, limits.PerClient, limits.Idle = own.Limits.TCPConnections, own.Limits.TCPPerClient, own.Limits.TCPIdle
	return listen.Config{
		DNS: own.Listen.DNS, Loops: own.Listen.Loops, Spin: own.Listen.Spin, Limits: limits, Inherited: given, Log: n.log, Metrics: n.metrics, Crashes: n.crashes,
	}, nil
}

// openAdmin starts the API, unless the settings turn it off.
func (n *Node) openAdmin(own settings.Node) error {
	if !own.Listen.Admin.IsValid() {
		return nil
	}
	a, err := admin.New(admin.Config{
		Address: own.Listen.Admin.String(), Data: own.Data, Pprof: own.PProf, Reloader: n, Cache: n, Explain: n, Samples: n, Status: n, Settings: n.settings(), Modules: n,
		Health: n.health, Crashes: n.crashes, Metrics: n.metrics, Log: n.log, Now: n.clock.Wall,
	})
	if err != nil {
		return err
	}
	if n.adminAddr, err = a.Listen(); err != nil {
		return err
	}
	n.admin = a
	go func() {
		if err := a.Serve(); err != nil {
			n.log.Error("the admin API ended", "error", err)
		}
	}()
	return nil
}

// Addrs returns the addresses that answer DNS, with the ports that were taken.
func (n *Node) Addrs() []netip.AddrPort {
	if n.listen == nil {
		return nil
	}
	return n.listen.Addrs()
}

// Admin returns the address of the API; invalid if there is none.
func (n *Node) Admin() netip.AddrPort { return n.adminAddr }

// Close stops the node, in the reverse order of Start: nothing new is read; what waits is ended; then what it stands on goes. It may be
// called on a node that only came up in part.
func (n *Node) Close() error {
	var errs []error
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	if n.listen != nil {
		if err := n.listen.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			errs = append(errs, err)
		}
	}
	if n.admin != nil {
		if err := n.admin.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			errs = append(errs, err)
		}
	}
	if n.shared != nil {
		// No table is swapped in from here on, and nobody who follows is told anything.
		if err := n.shared.close(); err != nil {
			errs = append(errs, err)
		}
	}
	if n.history != nil {
		if err := n.history.Close(); err != nil {
			errs = append(errs, err)
		}
	}
	if n.collector != nil {
		n.collector.close()
	}
	if n.time != nil {
		n.time.close()
	}
	if n.local != nil {
		n.local.Close()
	}
	if n.anchors != nil {
		n.anchors.close() // it asks through the resolver
	}
	if n.modules != nil {
		n.modules.tries.Wait() // the admin address is closed, so they are ending
	}
	if n.server != nil {
		n.server.Close()
	}
	if n.modules != nil {
		n.closeModules()
	}
	if n.resolver != nil {
		n.resolver.Close()
	}
	if n.cache != nil {
		if err := n.cache.Close(); err != nil {
			errs = append(errs, err)
		}
	}
	if n.crashes != nil {
		n.crashes.Flush()
	}
	if n.folder != nil {
		n.folder.close() // the last: nothing is written from here on
	}
	return errors.Join(errs...)
}

// listeners are the addresses at which the node can be asked: an address that stands for all is replaced by those of the
// interfaces, as far as they can be told.
func listeners(configured []netip.AddrPort) []netip.AddrPort {
	var out []netip.AddrPort
	for _, a := range configured {
		out = append(out, a)
		if !a.Addr().IsUnspecified() {
			continue
		}
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			continue // the prefixes of never_query still hold
		}
		for _, i := range addrs {
			if p, err := netip.ParsePrefix(i.String()); err == nil && (a.Addr().Is6() || p.Addr().Is4()) {
				out = append(out, netip.AddrPortFrom(p.Addr(), a.Port()))
			}
		}
	}
	return out
}

// nodeName is the name of the settings, or of the host.
func nodeName(own settings.Node) string {
	if own.Name != "" {
		return own.Name
	}
	h, err := os.Hostname()
	if err != nil {
		return ""
	}
	return h
}

func (n *Node) source() string {
	if n.shared != nil {
		return "the store"
	}
	if name := n.file.Name(); name != "" {
		return name
	}
	return "built in"
}
