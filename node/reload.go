package node

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/settings"
)

// Reload reads the file again and swaps its settings in, all at once. If anything in it is wrong, the settings that serve go on
// serving, and the error says what is wrong.
func (n *Node) Reload(context.Context) (admin.Reloaded, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r, err := n.reload()
	last := *n.lastReload.Load()
	if last.failed = err; err == nil {
		// What needs a restart is told again at each reload until there was one, or the file says again what it said at the start.
		last.loaded, last.waiting = n.clock.Wall(), r.Restart
	}
	n.lastReload.Store(&last)
	if err != nil {
		n.log.Error("the settings were not reloaded; those from before serve on", "error", err)
		return r, err
	}
	n.log.Info("settings reloaded", "changed", r.Changed, "restart", r.Restart)
	return r, nil
}

// lastReload is what came of the last reload, or of the start. It is never changed.
type lastReload struct {
	failed  error     // nil: it went well
	loaded  time.Time // when the settings that serve were read
	waiting []string  // settings that wait for a restart
}

// watchReloads has metrics and /readyz tell of it.
func (n *Node) watchReloads() {
	n.metrics.GaugeFunc("ananas_settings_reload_failed", "1 while the last reload was refused, so that older settings serve than the file has.", func() float64 {
		if n.lastReload.Load().failed != nil {
			return 1
		}
		return 0
	})
	n.metrics.GaugeFunc("ananas_settings_loaded_time_seconds", "When the settings that serve were read, in seconds since 1970.", func() float64 {
		return float64(n.lastReload.Load().loaded.UnixMilli()) / 1e3
	})
	n.health.Warn("settings", func() string {
		last := n.lastReload.Load()
		switch {
		case last.failed == nil && len(last.waiting) == 0, errors.Is(last.failed, errNoFile):
			return ""
		case last.failed != nil:
			why, _, _ := strings.Cut(last.failed.Error(), "\n")
			return "the last reload was refused, and settings from before serve on: " + why + "; ananas check FILE tells more; with this file the node would not start"
		}
		return "the file differs from what the node was started with, which takes a restart: " + strings.Join(last.waiting, ", ")
	})
}

func (n *Node) reload() (admin.Reloaded, error) {
	r := admin.Reloaded{Changed: []string{}, Restart: []string{}, Warnings: []string{}}
	if n.shared != nil {
		return n.reloadOwn(r)
	}
	if n.reread == nil {
		return r, errNoFile
	}
	next, err := n.reread()
	if err != nil {
		return r, err
	}
	if next.Empty() {
		return r, hinted{fmt.Errorf("%q has no settings; it looks like a file that is being written", next.Name()),
			"reload again when it is written; if all settings are to be the defaults, write {} into it"}
	}
	next.ReadBy(n.disk)
	runtime.Gosched() // between steps of some hundred microseconds each the loops that answer queries may have this processor
	tables, err := n.compile(next)
	if err != nil {
		return r, err
	}
	for _, w := range tables.Warnings(n.clock.Wall()) {
		r.Warnings = append(r.Warnings, w.Text+"; "+w.Hint)
	}
	runtime.Gosched()
	r.Restart = append(r.Restart, settings.Restart(n.began, next)...)
	r.Changed = append(r.Changed, settings.Changed(n.file, next)...)
	for _, name := range tables.Rewritten(n.tables) {
		r.Changed = append(r.Changed, "the content of "+name)
	}
	r.Warnings = append(r.Warnings, n.swap(next, tables)...)
	runtime.Gosched()
	if n.history != nil {
		if err := loadFile(n.history, next); err != nil {
			r.Warnings = append(r.Warnings, "the version was not put into the history: "+err.Error())
		}
	}
	return r, nil
}

// reloadOwn reads the file of a node of a store, which has nothing that could be swapped in: it tells what needs a restart.
func (n *Node) reloadOwn(r admin.Reloaded) (admin.Reloaded, error) {
	if n.reread == nil {
		return r, errNoFile
	}
	next, err := n.reread()
	if err != nil {
		return r, err
	}
	r.Restart = append(r.Restart, settings.Restart(n.began, next)...)
	r.Warnings = append(r.Warnings, "this node's settings come from its store: ananas apply changes them, on the root")
	return r, nil
}

// swap puts tables in place that were compiled from next, and returns what should be looked at. n.mu is held.
func (n *Node) swap(next *settings.File, tables *settings.Tables) (warnings []string) {
	if f := tables.Fingerprint(); f != n.fingerprint {
		n.cache.SetTable(tables.Cache)
		moved := n.anchors.settings().Recursion.Moved(tables.Nameserver.Recursion)
		n.anchors.configure(tables.Nameserver)
		for _, zone := range moved {
			if _, _, err := n.resolver.Purge(zone, true); err != nil {
				warnings = append(warnings, err.Error())
			}
		}
		n.fingerprint = f
		for _, w := range warnShrunk(n.modules.chain.Lists(), tables.Nameserver.Plugins.Lists()) {
			n.log.Warn(w)
			warnings = append(warnings, w)
		}
		n.takeChain(tables.Nameserver.Plugins)
		for _, w := range tables.ListWarnings() {
			n.log.Warn(w.Text, "hint", w.Hint)
		}
	} else if c := tables.Nameserver.Plugins; c != n.modules.chain {
		c.Release() // it says the same
	}
	n.modules.table, n.tables = tables.Plugins, tables
	// Files that the settings name are read again, also where nothing else has changed.
	root := n.server.Table().Recursion.LocalRoot
	n.local.Configure(root, n.localRootFile(next, root.File))
	if w := n.local.Warning(); w != "" {
		warnings = append(warnings, w)
	}
	kept := *next
	kept.Node = n.file.Node
	n.file = &kept
	return warnings
}

// hinted is an error with a mend.
type hinted struct {
	error
	hint string
}

// Hint says what to do now.
func (h hinted) Hint() string { return h.hint }

func (h hinted) Unwrap() error { return h.error }

var errNoFile = hinted{errors.New("this node was started without a file, so there is none to read again"),
	"write one, and start with ananas serve --config FILE"}
