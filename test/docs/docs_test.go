// Package docs holds README.md and the guides in docs against the program: what they show is run as it stands, with a binary built for it.
//
//   - Lines that begin with "$ " are commands, and what follows is what they print, but for what varies (compare_test.go). A
//     command whose output begins with "error: " fails; all others succeed. `ananas serve` and `ananas lab` run on free ports, and so does
//     `make run`; what is not started by a document is asked of a lab.
//   - A block of commands alone is run for its success.
//   - Settings are compiled; worlds make a lab; zone files and lists are read; Go is compiled; lines of JSON are steps of an explain,
//     or what is sent to apply settings or to try a module.
//   - Cases of modules and manifests are parsed. Source of a module is an excerpt of a file that the document's commands have made, or is compiled (modules_test.go).
//   - A fence with a file's name behind its language is a file that the commands of the document find. Others that they need are in
//     testdata/DOCUMENT.
//
// What can't be run has its reason in notRun. A block that fits nothing of this fails.
package docs

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/lab"
	"github.com/ananas-edge/ananas/nameserver/dataset"
	"github.com/ananas-edge/ananas/nameserver/plugin/cases"
	"github.com/ananas-edge/ananas/settings"
	"github.com/ananas-edge/ananas/wasm"
)

// notRun are the commands that are not run, and why. That their targets exist is seen by TestMakeTargets.
var notRun = map[string]string{
	"make test":                     "it would run this test, and itself without end",
	"make bench":                    "it measures for many minutes",
	"make bench-cold":               "it measures for many minutes, beside Unbound and as root",
	"make bench-attack":             "it measures for many minutes, beside Unbound and as root",
	"make bench-memory":             "it measures for many minutes, beside Unbound and as root",
	"npm install --prefix block-as": "it needs the registry of npm; what it installs is there, or the document is left out",

	"make bench-cached": "it measures for many minutes, beside five servers that it installs, and as root",
}

// Guides that are played in a network of their own, with the ports that they name, since they run several nodes at one time.
const (
	storeGuide = "store.md"
	fleetGuide = "modules-fleet.md"
)

var update = flag.Bool("update", false, "write what commands print into the documents, where there are no three dots")

// programs may be missing on a machine; then what needs them is left out, and that is said.
var programs = []string{"dig", "curl"}

// tries is how often a document is played until it is held to differ: a machine with other work to do loses questions.
const tries = 3

var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(withBinary(m))
}

func withBinary(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ananas-docs")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "ananas")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/ananas-edge/ananas/cmd/ananas").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building cmd/ananas: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

func TestDocuments(t *testing.T) {
	for name, text := range documents(t) {
		if name == storeGuide || name == fleetGuide {
			continue // TestStoreGuide, TestFleetGuide
		}
		all := blocks(text)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for try := 1; ; try++ {
				p := &play{document: name, left: map[string]bool{}}
				p.play(t.TempDir(), all)
				if len(p.wrong) == 0 {
					if len(p.left) > 0 {
						t.Skipf("examples in the documents were left out for want of: %s", strings.Join(slices.Sorted(maps.Keys(p.left)), ", "))
					}
					return
				}
				for _, w := range p.wrong {
					if try < tries {
						t.Logf("try %d: %v", try, w)
					} else {
						t.Error(w)
					}
				}
				if try == tries {
					return
				}
			}
		})
	}
}

// play is one run of a document.
type play struct {
	document string
	session  *session
	wrong    []error
	left     map[string]bool // programs that are missing
	over     bool            // nothing that comes can be run without them
}

func (p *play) fail(b block, format string, args ...any) {
	p.wrong = append(p.wrong, fmt.Errorf("%s:%d: %w", p.document, b.line, fmt.Errorf(format, args...)))
}

func (p *play) play(dir string, all []block) {
	files, err := given(p.document)
	for _, b := range all {
		if b.name != "" {
			files[b.name] = b.text
		}
	}
	if err == nil {
		p.session, err = newSession(dir, binary, files)
	}
	module, ok := strings.CutSuffix(p.document, "/README.md")
	if p.document == "modules.md" { // tries a list of that one
		module, ok = "family", true
	}
	if ok && err == nil {
		err = p.session.bringModule(module)
	}
	if err != nil {
		p.wrong = append(p.wrong, err)
		return
	}
	commands := ""
	for _, b := range all {
		if b.lang == "" || b.lang == "sh" || b.lang == "yaml" { // a file may be named by settings that are
			commands += b.text
		}
		if !p.over {
			p.block(b)
		}
	}
	for name := range files {
		if !strings.Contains(commands, name) {
			p.wrong = append(p.wrong, fmt.Errorf("%s: no command uses the file %s", p.document, name))
		}
	}
	if err := p.session.stop(); err != nil {
		p.wrong = append(p.wrong, fmt.Errorf("%s: the node did not end well: %w", p.document, err))
	}
}

// given are the files that the commands of a document find beside those that it shows.
func given(document string) (map[string]string, error) {
	files := map[string]string{}
	paths, err := filepath.Glob(filepath.Join("testdata", document, "*"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		files[filepath.Base(path)] = string(text)
	}
	return files, nil
}

// block does with a block what its kind wants.
func (p *play) block(b block) {
	var err error
	switch {
	case b.lang == "yaml" && strings.HasPrefix(b.text, "abi: "):
		_, err = wasm.ParseManifest("the manifest", []byte(b.text))
	case b.lang == "cases":
		_, err = cases.Parse("the cases", b.text)
	case moduleSource(b):
		err = p.excerpt(b)
	case b.lang == "yaml":
		err = p.compileSettings(b.text)
	case b.lang == "list":
		_, _, err = dataset.Build(strings.NewReader(b.text), dataset.Options{})
	case b.lang == "world":
		err = buildWorld(b.text)
	case b.lang == "zone":
		_, err = dns.ParseZone(b.text, b.name, dns.Root, 1000)
	case b.lang == "go":
		err = compileGo(b.text)
	case b.lang == "sh" && strings.HasPrefix(b.text, "unshare -n\n"):
		err = p.namespace(b.text)
	case b.lang != "" && b.lang != "sh":
		err = fmt.Errorf("nothing is known about blocks of %s", b.lang)
	case strings.HasPrefix(b.text, "$ "):
		p.console(b)
	case strings.HasPrefix(b.text, `{"files":`):
		err = readApply(b.text)
	case strings.HasPrefix(b.text, `{"module":`):
		err = strictly(b.text, new(admin.Trial))
	case strings.HasPrefix(b.text, `{"messages":`):
		err = readMessages(b.text)
	case strings.HasPrefix(b.text, "{"):
		err = readSteps(b.text)
	default:
		for line := range strings.Lines(b.text) {
			p.command(b, strings.TrimSpace(line), "", false)
		}
	}
	if err != nil {
		p.fail(b, "%w", err)
	}
}

// console runs commands and compares what they print.
func (p *play) console(b block) {
	for _, part := range strings.Split("\n"+b.text, "\n$ ")[1:] {
		command, written, _ := strings.Cut(part, "\n")
		p.command(b, command, written, true)
	}
}

// command runs one command. If it is shown, what it prints is compared.
func (p *play) command(b block, command, written string, shown bool) {
	if notRun[command] != "" {
		return
	}
	words := append(strings.Fields(command), "", "")
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil && slices.Contains(words, program) {
			p.left[program] = true
			return
		}
	}
	program := strings.TrimPrefix(words[0], "bin/")
	switch {
	case program == "make" && words[1] == "run":
		program, command, words = "ananas", "ananas lab", []string{"ananas", "lab"} // what it comes to: see TestMakeTargets
	case program != "ananas" && !slices.Contains(programs, program):
		p.fail(b, "%q is no command that is known here", command)
		return
	}
	if program == "ananas" && (words[1] == "lab" || words[1] == "serve") {
		p.startNode(b, command, words[1], written, shown)
		return
	}
	if program != "ananas" || words[1] != "check" && words[1] != "version" && words[1] != "module" {
		if err := p.session.ask(); err != nil {
			p.fail(b, "%w", err)
			return
		}
	}
	out, err := p.session.run(command)
	fails := strings.HasPrefix(written, "error: ")
	if _, what, ok := strings.Cut(out, "error: building the module: there is no "); ok && !fails {
		p.left["the toolchain of a module, "+strings.Split(what, "\n")[0]] = true
		p.over = true
		return
	}
	if (err != nil) != fails {
		p.fail(b, "%s: %v\n%s", command, err, out)
		return
	}
	if difference := compare(written, out); shown && difference != "" {
		if *update && !strings.Contains("\n"+written, "\n...\n") {
			p.update(command, written, out)
			return
		}
		p.fail(b, "%s: %s\nall of it:\n%s", command, difference, out)
	}
}

// update puts what a command prints in place of what is written.
func (p *play) update(command, written, out string) {
	path := filepath.Join("../../docs", p.document)
	switch {
	case p.document == "README.md":
		path = "../../README.md"
	case strings.HasSuffix(p.document, "/README.md"):
		path = filepath.Join(modules, p.document)
	}
	indent := func(text string) string {
		var b strings.Builder
		for line := range strings.Lines(text) {
			b.WriteString(strings.TrimRight("    "+strings.TrimRight(line, "\n"), " ") + "\n")
		}
		return b.String()
	}
	text, err := os.ReadFile(path)
	if err == nil {
		head := "    $ " + command + "\n"
		next := strings.Replace(string(text), head+indent(strings.TrimRight(written, "\n")), head+indent(strings.TrimRight(out, "\n")), 1)
		err = os.WriteFile(path, []byte(next), 0o644)
	}
	if err != nil {
		p.wrong = append(p.wrong, err)
	}
}

// startNode runs a node. A lab is asked by the commands that come; a node that would ask the real internet is stopped again.
func (p *play) startNode(b block, command, what, written string, shown bool) {
	command, _, _ = strings.Cut(command, " #")
	command = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(command), "bin/"), " &")
	if what == "serve" {
		was := p.session.node
		p.session.node = nil
		err := p.relocate(command)
		if err == nil {
			err = p.session.start(command)
		}
		if err = errors.Join(err, p.session.stop()); err != nil {
			p.fail(b, "%w", err)
		}
		p.session.node = was
		return
	}
	if err := p.session.start(command); err != nil {
		p.fail(b, "%w", err)
		return
	}
	if shown {
		if difference := p.session.printed(written); difference != "" {
			p.fail(b, "%s: %s", command, difference)
		}
	}
}

// relocate puts the addresses of the settings that a node is started with to free ports of this machine.
func (p *play) relocate(command string) error {
	_, name, ok := strings.Cut(command, " --config ")
	if !ok {
		return nil
	}
	path := filepath.Join(p.session.dir, name)
	f, err := settings.Open(path)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	out := string(text)
	for _, a := range append(slices.Clone(f.Node.Listen.DNS), f.Node.Listen.Admin) {
		out = strings.ReplaceAll(out, `"`+a.String()+`"`, `"127.0.0.1:0"`)
	}
	return os.WriteFile(path, []byte(out), 0o600)
}

// compileSettings makes tables of settings, which find the files that the document shows.
func (p *play) compileSettings(text string) error {
	f, err := settings.Parse(filepath.Join(p.session.dir, "example.yaml"), []byte(text))
	if err == nil {
		_, err = f.Compile([]netip.AddrPort(f.Node.Listen.DNS))
	}
	return err
}

func buildWorld(text string) error {
	w, err := lab.ParseWorld(text)
	if err == nil {
		_, err = lab.New(lab.Config{World: w})
	}
	return err
}

// readApply reads the body of an apply, and its files.
func readApply(text string) error {
	var a admin.Apply
	if err := strictly(text, &a); err != nil {
		return err
	}
	for _, f := range a.Files {
		if _, err := settings.Parse(f.Name, []byte(f.Text)); err != nil {
			return err
		}
	}
	return nil
}

// strictly reads a value of JSON without members that are not there.
func strictly(text string, v any) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// readMessages reads queries as they are sent to be tried.
func readMessages(text string) error {
	var all admin.TrialMessages
	if err := strictly(text, &all); err != nil {
		return err
	}
	for k := range all.Messages {
		if _, err := all.Messages[k].Record(); err != nil {
			return err
		}
	}
	return nil
}

// readSteps reads lines as they come from /api/v1/explain.
func readSteps(text string) error {
	for line := range strings.Lines(text) {
		var e admin.Event
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil {
			return err
		}
		if !kinds()[e.Kind] {
			return fmt.Errorf("there is no kind of step %q", e.Kind)
		}
	}
	return nil
}
