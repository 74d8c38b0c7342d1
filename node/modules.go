package node

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/internal/wholefile"
	"github.com/ananas-edge/ananas/nameserver/dataset"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/settings"
	"github.com/ananas-edge/ananas/wasm"
)

// moduleFolder is where compiled modules are, in the data folder.
const moduleFolder = "modules"

// dataFolder is where data sets are in their compiled form, in the data folder.
const dataFolder = "lists"

// trialFolder is where new versions are compiled that run in the shadow of others, in the data folder.
const trialFolder = "trials"

// chainGrace is how long the modules of settings that were swapped out are kept: no query that took them lasts so long.
const chainGrace = time.Minute

// modules are the programs in the path of a node's queries.
type modules struct {
	loader *plugin.Loader
	engine *wasm.Engine
	shelf  *dataset.Shelf
	child  func() *exec.Cmd // makes the process that compiles
	trials string           // the folder of what is compiled for trials
	trying chan struct{}    // one trial is opened at a time
	tries  sync.WaitGroup   // trials under way
	chain  *plugin.Chain    // in use; under Node.mu, as table is
	table  *plugin.Table
	gone   map[*plugin.Chain]*time.Timer // those that were swapped out, until they are released; under Node.mu
	closed bool                          // nothing is loaded any more; under Node.mu

	mu     sync.Mutex
	alarms map[string]string  // by module: what people have to know
	lines  []admin.ModuleLine // the last that modules have logged, at most maxModuleLines
	serial uint64             // lines that there were
	trend  trend              // its timer is under Node.mu
}

// openModules makes what loads modules. Nothing is compiled until settings name one.
func (n *Node) openModules(own settings.Node, command func() *exec.Cmd) error {
	engine, err := wasm.Open(wasm.Config{Folder: filepath.Join(own.Data, moduleFolder), Command: command, Log: n.log, Metrics: n.metrics})
	if err != nil {
		return err
	}
	lists := filepath.Join(own.Data, dataFolder)
	if err := MakeFolder(lists); err != nil {
		return err
	}
	shelf, err := dataset.NewShelf(lists, wholefile.OS{})
	if err != nil {
		return err
	}
	trials := filepath.Join(own.Data, trialFolder)
	if err := os.RemoveAll(trials); err != nil { // of a process that was killed
		return fmt.Errorf("removing what is left of trials: %w", err)
	}
	m := &modules{engine: engine, shelf: shelf, child: command, trials: trials, trying: make(chan struct{}, 1), alarms: make(map[string]string), gone: make(map[*plugin.Chain]*time.Timer)}
	m.loader = plugin.NewLoader(plugin.Config{
		Engine: engine, Shelf: shelf, Log: n.log, Cores: cmp.Or(own.Listen.Loops, runtime.GOMAXPROCS(0)), Boot: n.clock.Boot, Logs: n.moduleLog, Failed: n.moduleFailed, Alarm: n.moduleAlarm, Mend: n.moduleMend, Changed: n.reloadModules, Metrics: n.metrics,
	})
	n.modules = m
	n.health.Warn("modules", m.warning)
	return nil
}

// moduleAlarm tells people of a module.
func (n *Node) moduleAlarm(module, text string) {
	n.modules.mu.Lock()
	n.modules.alarms[module] = text
	n.modules.keepLine(admin.ModuleLine{Time: n.clock.Wall(), Module: module, Level: "error", Text: firstLine(text)})
	n.modules.mu.Unlock()
	n.log.Error("a module misbehaves", "module", module, "error", text)
}

// moduleMend is what people can do about a module that was taken out.
func (n *Node) moduleMend(module string) string {
	if n.began.Node.Store.Shared() {
		return fmt.Sprintf("ananas module rollback %s brings back the version before, ananas module disable %[1]s goes on without it, with --now and a reason at once", module)
	}
	return fmt.Sprintf("name the file of the version before in modules, or set off: true where plugins run %s, in %s, and ananas reload", module, cmp.Or(n.began.Name(), "the node's file"))
}

// maxModuleLines is how many lines of modules are kept: with 200 octets each 200 KiB.
const maxModuleLines = 1000

// moduleLog takes a line of a module: into the node's log, and where ananas module logs finds it.
func (n *Node) moduleLog(module string, level int, text string) {
	plugin.LogTo(n.log)(module, level, text)
	m := n.modules
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keepLine(admin.ModuleLine{Time: n.clock.Wall(), Module: module, Level: [...]string{"debug", "info", "warn", "error"}[level], Text: text})
}

// keepLine keeps a line for ananas module logs; m.mu is held.
func (m *modules) keepLine(l admin.ModuleLine) {
	if len(m.lines) == maxModuleLines {
		m.lines = append(m.lines[:0], m.lines[maxModuleLines/10:]...)
	}
	m.serial++
	l.Seq = m.serial
	m.lines = append(m.lines, l)
}

// moduleFailed keeps a fault beside what the module says itself. The node's log has it when there are so many that the module is taken out.
func (n *Node) moduleFailed(module, text string) {
	m := n.modules
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keepLine(admin.ModuleLine{Time: n.clock.Wall(), Module: module, Level: "error", Text: text})
}

// tellLeftOut says of how many lines the log is without: a line for each module, every ten seconds at most.
func (n *Node) tellLeftOut() {
	m := n.modules
	for _, l := range m.loader.LeftOut() {
		n.log.Warn("lines of a module were left out of the log", "module", l.Module, "lines", l.Lines, "lines_a_second", l.Limit, "hint", "limits.log_lines of the module, in the settings, is how many there may be")
		m.mu.Lock()
		m.keepLine(admin.ModuleLine{Time: n.clock.Wall(), Module: l.Module, Level: "warn", Text: fmt.Sprintf("%d lines of it were left out here, since there were more than %d in a second (limits.log_lines)", l.Lines, l.Limit)})
		m.mu.Unlock()
	}
}

// ModuleLogs is that of admin.ModuleSource.
func (n *Node) ModuleLogs(_ context.Context, name string) (all []admin.ModuleLine, err error) {
	n.modules.mu.Lock()
	defer n.modules.mu.Unlock()
	for _, l := range n.modules.lines {
		if name == "" || l.Module == name {
			all = append(all, l)
		}
	}
	return all, nil
}

// Modules is that of admin.ModuleSource.
func (n *Node) Modules(context.Context) (list admin.ModuleList, err error) {
	n.mu.Lock()
	table, chain := n.modules.table, n.modules.chain
	n.mu.Unlock()
	if table == nil {
		return list, nil
	}
	status := make(map[string]plugin.UseStatus)
	for _, s := range chain.Status() {
		status[useKey(s.Module, string(s.Phase))] = s
	}
	n.modules.mu.Lock()
	defer n.modules.mu.Unlock()
	for _, d := range table.Modules {
		sum := d.File.Sum()
		m := admin.Module{
			Name: d.Name, Version: d.Manifest.Version, SHA256: hex.EncodeToString(sum[:]), Octets: int(d.File.Size()), Phases: d.Manifest.Phases, Needs: d.Manifest.Needs, Wants: d.Manifest.Wants, Pure: d.Manifest.Pure, Fuel: d.Limits.CallFuel(),
			Settings: d.Manifest.Settings, Alarm: n.modules.alarms[d.Name],
		}
		for i, u := range table.Plugins {
			if u.Module != d.Name {
				continue
			}
			key := useKey(u.Module, string(u.Phase))
			s, runs := status[key]
			m.Pure = m.Pure && (s.Pure || !runs)
			use := admin.Use{Phase: string(u.Phase), Place: i + 1, Mode: string(u.Mode), Grant: u.Grant, Off: u.Off, Out: s.Out, Faults: s.Faults, Verdicts: s.Verdicts, Fuel: s.Fuel}
			for _, asked := range slices.Concat(d.Manifest.Needs, d.Manifest.Wants) {
				if !slices.Contains(u.Grant, asked) {
					use.Missing = append(use.Missing, asked)
				}
			}
			if spans := n.modules.trend.uses[key]; spans != nil && runs && !u.Off {
				use.Recent = slices.Clone(spans[:])
			}
			m.Uses = append(m.Uses, use)
		}
		list.Modules = append(list.Modules, m)
	}
	for _, l := range chain.Lists() {
		i := &l.Info
		d := admin.ModuleData{
			Name: l.Name, Format: i.Format.String(), Entries: l.Entries(), Names: i.Names, Prefixes: i.Prefixes, Taken: i.Taken, Skipped: i.Skipped, OtherTriggers: i.OtherTriggers, Duplicates: i.Duplicates, Bad: i.Bad,
			Octets: i.SourceOctets, SHA256: hex.EncodeToString(i.Source[:]), Modules: l.Modules, Warnings: []string{},
		}
		for _, r := range i.Remarks(l.Name) {
			d.Warnings = append(d.Warnings, r.Text+"; "+r.Hint)
		}
		list.Data = append(list.Data, d)
	}
	return list, nil
}

// warning is for /readyz.
func (m *modules) warning() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.alarms) == 0 {
		return ""
	}
	fails := func(module string) int { // those without which no query is answered come first
		if strings.Contains(m.alarms[module], plugin.FailsQueries) {
			return 0
		}
		return 1
	}
	names := slices.SortedFunc(maps.Keys(m.alarms), func(a, b string) int { return cmp.Or(fails(a)-fails(b), cmp.Compare(a, b)) })
	text := "module " + names[0] + ": " + m.alarms[names[0]]
	if more := len(names) - 1; more > 0 {
		text += fmt.Sprintf("; and there is something about %d more: ananas module ls", more)
	}
	return text
}

// compile makes the tables of a file, with the modules that it names loaded. Tables that are not taken have to be released.
func (n *Node) compile(f *settings.File) (*settings.Tables, error) {
	tables, err := f.Compile(listeners(n.began.Node.Listen.DNS))
	if err != nil {
		return nil, err
	}
	return n.withModules(context.Background(), f, tables)
}

// withModules loads the modules that the tables of a file name.
func (n *Node) withModules(ctx context.Context, f *settings.File, tables *settings.Tables) (*settings.Tables, error) {
	if n.modules == nil {
		return tables, nil
	}
	chain, err := n.modules.loader.Load(ctx, tables.Plugins, n.currentChain())
	if err != nil {
		return nil, f.Locate(err)
	}
	tables.Loaded(chain)
	return tables, nil
}

func (n *Node) currentChain() *plugin.Chain {
	if n.server == nil {
		return nil
	}
	return n.server.Table().Plugins
}

// takeChain notes which modules are in use now, and lets go of those before them when no query has them any more.
func (n *Node) takeChain(next *plugin.Chain) {
	m := n.modules
	before := m.chain
	if before == next {
		return
	}
	m.chain = next
	m.keepAlarms(next)
	n.watchModules()
	if before == nil {
		return
	}
	m.gone[before] = time.AfterFunc(chainGrace, func() {
		n.mu.Lock()
		_, still := m.gone[before]
		delete(m.gone, before)
		n.mu.Unlock()
		if still {
			before.Release()
			n.sweepLists()
		}
	})
}

// sweepLists removes what was compiled of lists that the settings do not have any more: of a list that comes each day it would be 3 GB a month. While changes are on their way it waits for the next time: lists of theirs may
// be there already.
func (n *Node) sweepLists() {
	if n.shared != nil && len(openRollouts(n.shared.copy.View())) > 0 {
		return
	}
	n.mu.Lock()
	table, closed := n.modules.table, n.modules.closed
	n.mu.Unlock()
	if closed {
		return
	}
	if err := n.modules.loader.Sweep(table); err != nil {
		n.log.Warn("lists that the settings do not have any more could not be removed", "error", err)
	}
}

// keepAlarms has people told what is so of the modules of a chain, and forgets what they were told of others: one that is out still, or is still not what it says, is the same, and one that comes back is told of again.
func (m *modules) keepAlarms(next *plugin.Chain) {
	m.mu.Lock() // what is found out meanwhile comes behind it
	defer m.mu.Unlock()
	clear(m.alarms)
	for _, s := range next.Status() {
		if s.Alarm != "" && !strings.Contains(m.alarms[s.Module], plugin.FailsQueries) { // of a module that runs twice the worse
			m.alarms[s.Module] = s.Alarm
		}
	}
}

// closeModules lets go of all modules. Nobody may ask them any more.
func (n *Node) closeModules() {
	n.mu.Lock()
	m := n.modules
	m.closed = true
	for c, timer := range m.gone {
		timer.Stop()
		c.Release()
	}
	clear(m.gone)
	if m.trend.timer != nil {
		m.trend.timer.Stop()
	}
	m.chain.Release()
	m.chain = nil
	n.mu.Unlock()
	m.loader.Wait()
}

// reloadModules makes the tables in use anew: something that was declared of a module is not so. The files that they name may have been written since; that is for a reload.
func (n *Node) reloadModules() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.server == nil || n.modules.closed {
		return
	}
	tables, err := n.file.CompileAgain(listeners(n.began.Node.Listen.DNS), n.tables)
	if err == nil {
		tables, err = n.withModules(context.Background(), n.file, tables)
	}
	if err != nil {
		n.log.Error("the modules could not be loaded anew", "error", err)
		return
	}
	n.swap(n.file, tables)
}

// lastFault names the module that failed last, and why.
func (m *modules) lastFault() string {
	if m == nil {
		return ""
	}
	return m.loader.LastFault()
}

// faulted is how often modules have failed.
func (m *modules) faulted() uint64 {
	if m == nil {
		return 0
	}
	return m.loader.Faults()
}
