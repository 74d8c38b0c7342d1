package weave_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/ananas-edge/ananas/internal/weave"
)

// script is a file of the official tests, as wast2json writes it.
type script struct {
	Commands []command `json:"commands"`
}

type command struct {
	Type       string `json:"type"`
	Line       int    `json:"line"`
	Name       string `json:"name"`
	Filename   string `json:"filename"`
	As         string `json:"as"`
	ModuleType string `json:"module_type"`
	Action     action `json:"action"`
}

type action struct {
	Type   string  `json:"type"`
	Field  string  `json:"field"`
	Module string  `json:"module"`
	Args   []value `json:"args"`
}

type value struct {
	Type  string `json:"type"`
	Lane  string `json:"lane_type"`
	Value any    `json:"value"`
}

// wazeroFolder is where the source of wazero lies, with the official tests.
func wazeroFolder(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Fatalf("finding wazero's source: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// The official tests do the same in a module that was woven as in one that was not: results, traps, memories and globals, after each command.
func TestWovenDoesAsPlain(t *testing.T) {
	root := filepath.Join(wazeroFolder(t), "internal", "integration_test", "spectest")
	for _, version := range []string{"v1", "v2"} {
		files, err := filepath.Glob(filepath.Join(root, version, "testdata", "*.json"))
		if err != nil || len(files) < 70 {
			t.Fatalf("%s has %d scripts, fewer than 70 (%v)", root, len(files), err)
		}
		for _, file := range files {
			for _, refuel := range []bool{false, true} {
				name := fmt.Sprintf("%s/%s/refuel=%v", version, strings.TrimSuffix(filepath.Base(file), ".json"), refuel)
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					runScript(t, file, filepath.Join(root, "testdata", "spectest.wasm"), refuel)
				})
			}
		}
	}
}

func runScript(t *testing.T, file, spectest string, refuel bool) {
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s script
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	host, err := os.ReadFile(spectest)
	if err != nil {
		t.Fatal(err)
	}
	p := newPair(t, refuel)
	p.strict = strings.Contains(file, "v2")
	if err := p.instantiate(host); err != nil {
		t.Fatal(err)
	}
	p.registered["spectest"] = p.last
	for _, c := range s.Commands {
		p.command(filepath.Dir(file), c)
		if t.Failed() {
			t.Fatalf("line %d, %s %s %s", c.Line, c.Type, c.Action.Field, c.Filename)
		}
	}
}

// pair runs everything twice: plain, and woven.
type pair struct {
	testing.TB
	refuel       bool
	strict       bool // all traps of the scripts are some under the features of version 2
	plain, woven *world
	last         *couple
	named        map[string]*couple
	registered   map[string]*couple
	all          []*couple
}

// couple is one module, plain and woven.
type couple struct {
	plain, woven *guest
	exports      []weave.Export
}

func newPair(t testing.TB, refuel bool) *pair {
	p := &pair{TB: t, refuel: refuel, named: map[string]*couple{}, registered: map[string]*couple{}}
	p.plain, p.woven = newWorld(t), newWorld(t)
	return p
}

func (p *pair) command(dir string, c command) {
	read := func() []byte {
		b, err := os.ReadFile(filepath.Join(dir, c.Filename))
		if err != nil {
			p.Fatal(err)
		}
		return b
	}
	switch c.Type {
	case "module":
		if err := p.instantiate(read()); err != nil {
			p.Fatal(err)
		}
		if c.Name != "" {
			p.named[c.Name] = p.last
		}
	case "register":
		p.registered[c.As] = p.of(c.Name)
	case "action", "assert_return":
		if err := p.act(c.Action); err != nil {
			p.Error(err)
		}
	case "assert_trap", "assert_exhaustion":
		if c.Action.Type == "" { // of a module
			if err := p.instantiate(read()); err == nil {
				p.Error("it was instantiated")
			}
		} else if err := p.act(c.Action); err == nil && p.strict {
			p.Error("it did not trap")
		}
	case "assert_uninstantiable", "assert_unlinkable":
		// Whether it fails is wazero's matter: those of version 1 are not all errors in 2, and it makes an instance though an element is out of bounds.
		_ = p.instantiate(read())
	case "assert_invalid", "assert_malformed":
		if c.ModuleType == "binary" {
			weaveAny(p, read()) // is never woven, but must not panic
		}
	default:
		p.Fatalf("the test does not know the command %q", c.Type)
	}
}

func (p *pair) of(name string) *couple {
	if name == "" {
		return p.last
	}
	if p.named[name] == nil {
		p.Fatalf("no module is called %q", name)
	}
	return p.named[name]
}

// same holds two errors to each other: both or none, and the same.
func (p *pair) same(plain, woven error) {
	p.Helper()
	if (plain == nil) != (woven == nil) {
		p.Errorf("plain: %v\nwoven: %v", plain, woven)
	} else if plain != nil && trap(plain) != trap(woven) {
		p.Errorf("plain: %q\nwoven: %q", trap(plain), trap(woven))
	}
}

// trap is the cause of an error, without the functions that were on the stack.
func trap(err error) string {
	first, _, _ := strings.Cut(err.Error(), "\n")
	if _, cause, ok := strings.Cut(first, "failed: "); ok { // "start function[0] failed: "
		return cause
	}
	return first
}

// instantiate makes a module's couple the last one.
func (p *pair) instantiate(b []byte) error {
	p.Helper()
	m, err := weave.Parse(b)
	if err != nil {
		p.Fatal(err)
	}
	woven, err := m.Weave(weave.Options{Limits: weave.Unlimited, Refuel: p.refuel})
	if err != nil {
		p.Fatal(err)
	}
	plainGuest, plainErr := p.plain.instantiate(b, p.resolver(func(c *couple) *guest { return c.plain }))
	wovenGuest, wovenErr := p.woven.instantiate(woven, p.resolver(func(c *couple) *guest { return c.woven }))
	p.same(plainErr, wovenErr)
	if plainErr != nil || wovenErr != nil {
		p.compare()
		return plainErr
	}
	p.last = &couple{plainGuest, wovenGuest, m.Exports}
	p.all = append(p.all, p.last)
	p.compare()
	return nil
}

func (p *pair) resolver(half func(*couple) *guest) func(string) api.Module {
	return func(name string) api.Module {
		if c := p.registered[name]; c != nil {
			return half(c).Module
		}
		return nil
	}
}

func (p *pair) act(a action) error {
	c := p.of(a.Module)
	if a.Type == "get" {
		if c.plain.ExportedGlobal(a.Field).Get() != c.woven.ExportedGlobal(a.Field).Get() {
			p.Errorf("global %s is not the same", a.Field)
		}
		return nil
	}
	var args []uint64
	for _, v := range a.Args {
		args = append(args, v.words(p)...)
	}
	return p.call(c, a.Field, args...)
}

func (p *pair) call(c *couple, name string, args ...uint64) error {
	plain, plainErr := c.plain.call(name, args...)
	woven, wovenErr := c.woven.call(name, args...)
	p.same(plainErr, wovenErr)
	f := c.plain.ExportedFunction(name).Definition()
	for i, t := range f.ResultTypes() {
		if plainErr == nil && wovenErr == nil && t != api.ValueTypeExternref && t != 0x70 && len(plain) == len(f.ResultTypes()) && !sameValue(t, plain[i], woven[i]) {
			p.Errorf("%s returned %x, and woven %x", name, plain, woven)
		}
	}
	if len(plain) != len(woven) || len(plain) != len(f.ResultTypes()) && !equal(plain, woven) { // vectors take two
		p.Errorf("%s returned %x, and woven %x", name, plain, woven)
	}
	p.compare()
	return plainErr
}

func equal(a, b []uint64) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// sameValue compares; one NaN is as good as another (core specification, 4.3.3).
func sameValue(t api.ValueType, a, b uint64) bool {
	switch t {
	case api.ValueTypeF32:
		x, y := math.Float32frombits(uint32(a)), math.Float32frombits(uint32(b))
		return uint32(a) == uint32(b) || x != x && y != y
	case api.ValueTypeF64:
		x, y := math.Float64frombits(a), math.Float64frombits(b)
		return a == b || x != x && y != y
	case api.ValueTypeI32:
		return uint32(a) == uint32(b)
	}
	return a == b
}

// compare holds all memories and globals that can be seen to each other.
func (p *pair) compare() {
	for _, c := range p.all {
		if x, y := c.plain.memory(), c.woven.memory(); !bytes.Equal(x, y) {
			p.Error("the memories are not the same")
		}
		for _, e := range c.exports {
			if e.Kind != weave.Global {
				continue
			}
			x, y := c.plain.ExportedGlobal(e.Name), c.woven.ExportedGlobal(e.Name)
			if t := x.Type(); t != api.ValueTypeExternref && t != 0x70 && t != 0x7b && !sameValue(t, x.Get(), y.Get()) {
				p.Errorf("global %s is %x, and woven %x", e.Name, x.Get(), y.Get())
			}
		}
	}
}

// words returns a value as wazero takes it.
func (v value) words(t testing.TB) []uint64 {
	if lanes, ok := v.Value.([]any); ok {
		var b [16]byte
		size := 16 / len(lanes)
		for i, l := range lanes {
			n := v.number(t, l.(string), 8*size)
			for k := range size {
				b[i*size+k] = byte(n >> (8 * k))
			}
		}
		var out [2]uint64
		for i := range b {
			out[i/8] |= uint64(b[i]) << (8 * (i % 8))
		}
		return out[:]
	}
	s, _ := v.Value.(string)
	switch {
	case s == "null" || s == "":
		return []uint64{0}
	case v.Type == "externref":
		return []uint64{v.number(t, s, 64) + 1} // 0 is null
	case strings.HasSuffix(v.Type, "32"):
		return []uint64{v.number(t, s, 32)}
	}
	return []uint64{v.number(t, s, 64)}
}

func (v value) number(t testing.TB, s string, bits int) uint64 {
	if strings.HasPrefix(s, "nan:") {
		if bits == 32 {
			return 0x7fc00000
		}
		return 0x7ff8 << 48
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if bits < 64 {
			return uint64(n) & (1<<bits - 1)
		}
		return uint64(n)
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// world is a runtime with its modules.
type world struct {
	testing.TB
	wazero.Runtime
	guests []*guest
	yields int
}

// guest is an instance, with what was woven in, if it was.
type guest struct {
	api.Module
	world       *world
	fuel, stack api.MutableGlobal
}

func newWorld(t testing.TB) *world {
	w := &world{TB: t}
	w.Runtime = wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigCompiler().WithCoreFeatures(api.CoreFeaturesV2))
	t.Cleanup(func() { w.Close(context.Background()) })
	return w
}

// manyFuel is enough for all tests.
const manyFuel = 1 << 40

// slice is how much fuel a guest that may ask for more gets at once: little, so that it asks often.
const slice = 300

// instantiate does as an engine has to: it fills the table, and calls the start function.
func (w *world) instantiate(b []byte, resolve func(string) api.Module) (*guest, error) {
	ctx := context.Background()
	if resolve != nil {
		ctx = experimental.WithImportResolver(ctx, resolve)
	}
	m, err := w.InstantiateWithConfig(ctx, b, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return nil, err
	}
	g := &guest{Module: m, world: w}
	w.guests = append(w.guests, g)
	if f := m.ExportedGlobal(weave.FuelGlobal); f != nil {
		g.fuel = f.(api.MutableGlobal)
	}
	if s := m.ExportedGlobal(weave.StackGlobal); s != nil {
		g.stack = s.(api.MutableGlobal)
		w.fillTable(g)
	}
	if m.ExportedFunction(weave.StartFunction) != nil {
		if _, err := g.call(weave.StartFunction); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// fillTable puts the function that refuels into the guest's table, by way of a module that imports both.
func (w *world) fillTable(g *guest) {
	host, err := w.NewHostModuleBuilder("refuel").NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(context.Context, api.Module, []uint64) {
		g.fuel.Set(slice)
		w.yields++
	}), nil, nil).Export("f").Compile(context.Background())
	if err != nil {
		w.Fatal(err)
	}
	h, err := w.InstantiateModule(context.Background(), host, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		w.Fatal(err)
	}
	ctx := experimental.WithImportResolver(context.Background(), func(name string) api.Module {
		if name == "host" {
			return h
		}
		return g.Module
	})
	if _, err := w.InstantiateWithConfig(ctx, filler(), wazero.NewModuleConfig().WithName("")); err != nil {
		w.Fatal(err)
	}
}

// fill gives a guest, if it was woven, what it needs.
func (g *guest) fill() {
	if g.stack != nil {
		g.stack.Set(manyFuel)
		g.fuel.Set(slice)
	} else if g.fuel != nil {
		g.fuel.Set(manyFuel)
	}
}

func (g *guest) call(name string, args ...uint64) ([]uint64, error) {
	for _, each := range g.world.guests { // it may call them
		each.fill()
	}
	f := g.ExportedFunction(name)
	if f == nil {
		return nil, errors.New("there is no function of that name")
	}
	return f.Call(context.Background(), args...)
}

// memory returns all of it; nothing if there is none.
func (g *guest) memory() []byte {
	m := g.Memory()
	if reflect.ValueOf(m).IsNil() { // of a type
		return nil
	}
	b, _ := m.Read(0, m.Size())
	return b
}

// weaveAny weaves what need not be valid: it must not panic.
func weaveAny(t testing.TB, b []byte) {
	m, err := weave.Parse(b)
	if err != nil {
		return
	}
	for _, refuel := range []bool{false, true} {
		_, _ = m.Weave(weave.Options{Limits: weave.Unlimited, Refuel: refuel})
	}
}
