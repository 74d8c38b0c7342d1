package plugin

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/telemetry"
	"github.com/ananas-edge/ananas/wasm"
)

// hostModule is what guests import the host's functions from.
const hostModule = "ananas"

// Errors that the host's functions return; what is not an error is 0 or more.
const (
	resultAbsent    = -1 // there is no such thing
	resultBounds    = -2 // an address is not in the guest's memory
	resultRoom      = -3 // it does not fit
	resultDenied    = -4 // it was not granted
	resultFailed    = -6 // it was tried, and did not succeed
	resultLimit     = -5 // a limit was reached
	resultMalformed = -7 // an argument is not what it must be
)

// Prices of work that the host does for a guest, in fuel: nanoseconds, as measured.
const (
	priceSetting = 50
	priceMetric  = 50
	priceLog     = 500
	priceResolve = 2000 // beside the time that others take
)

// perOctet is how many octets are moved for one unit of fuel.
const perOctet = 8

// Logs takes what modules log. level is 0 debug, 1 info, 2 warn, 3 error.
type Logs func(module string, level int, text string)

// Counts takes what modules count, or observe: the name of the counter or the histogram, and the value.
type Counts func(module, name string, observed bool, value uint64)

// host are the functions for guests of a loader.
type host struct {
	logs       Logs
	counts     Counts
	counters   *telemetry.CounterVec
	histograms *telemetry.NumberVec
	waits      *telemetry.CounterVec

	rate    *lineRate // nil: all lines are logged
	boot    func() time.Duration
	leftOut *telemetry.CounterVec
}

// functions lists them. The state of each call is the *guest that is called.
func (h *host) functions() []wasm.Function {
	i32, i64 := wasm.I32, wasm.I64
	own := []wasm.Function{
		{Name: "setting", Params: types(i32, i32, i32, i32), Results: types(i32), Call: h.setting},
		{Name: "complain", Params: types(i32, i32), Results: types(i32), Call: h.complain},
		{Name: "log", Params: types(i32, i32, i32), Results: types(i32), Capability: "log", Call: h.log},
		{Name: "data_open", Params: types(i32, i32), Results: types(i32), Capability: "data", Call: h.dataOpen},
		{Name: "data_find", Params: types(i32, i32, i32, i32), Results: types(i32), Capability: "data", Call: h.dataFind},
		{Name: "counter", Params: types(i32, i32), Results: types(i32), Capability: "metrics", Call: h.counter},
		{Name: "count", Params: types(i32, i64), Results: types(i32), Capability: "metrics", Call: h.count},
		{Name: "histogram", Params: types(i32, i32), Results: types(i32), Capability: "metrics", Call: h.histogram},
		{Name: "observe", Params: types(i32, i64), Results: types(i32), Capability: "metrics", Call: h.observe},
		{Name: "resolve", Params: types(i32, i32, i32, i32, i32), Results: types(i32), Capability: "resolve", Call: h.resolve},
		{Name: "now", Results: types(i64), Capability: "time", Call: func(c *wasm.Call, stack []uint64) { stack[0] = uint64(c.Now) }},
		{Name: "random", Params: types(i32, i32), Results: types(i32), Capability: "random", Call: h.random},
	}
	for i := range own {
		own[i].Module = hostModule
	}
	return append(own, wasm.WASIFunctions(h.output)...)
}

func types(t ...byte) []byte { return t }

// view returns octets of the guest's memory. Parameters of 32 bits may have anything above them.
func view(c *wasm.Call, at, n uint64) ([]byte, bool) {
	return c.View(uint64(uint32(at)), uint64(uint32(n)))
}

func result(stack []uint64, n int) { stack[0] = uint64(uint32(int32(n))) }

// setting (key, key_len, out, out_len) -> octets of the value, which are written if they fit.
func (h *host) setting(c *wasm.Call, stack []uint64) {
	key, ok := view(c, stack[0], stack[1])
	if !ok {
		result(stack, resultBounds)
		return
	}
	c.Charge(priceSetting + int64(len(key))/perOctet) // before it is hashed, whatever its length
	value, ok := settingOf(c, key)
	c.Charge(int64(len(value)) / perOctet)
	if !ok {
		result(stack, resultAbsent)
		return
	}
	if uint64(len(value)) > uint64(uint32(stack[3])) {
		result(stack, resultRoom)
		return
	}
	out, ok := view(c, stack[2], uint64(len(value)))
	if !ok {
		result(stack, resultBounds)
		return
	}
	copy(out, value)
	result(stack, len(value))
}

// settingOf returns a setting of the module. Before ananas_buffer was called it has none.
func settingOf(c *wasm.Call, key []byte) (string, bool) {
	g, ok := c.State.(*guest)
	if !ok {
		return "", false
	}
	value, ok := g.l.use.Settings[string(key)]
	return value, ok
}

// complain (text, text_len) -> 0: why ananas_start is about to fail. Nobody has to grant that: it is told with the error, to whoever made the settings.
func (h *host) complain(c *wasm.Call, stack []uint64) {
	text, ok := view(c, stack[0], stack[1])
	c.Charge(priceLog + int64(min(len(text), maxSaid))/perOctet)
	g, known := c.State.(*guest)
	switch {
	case !ok:
		result(stack, resultBounds)
	case !known || !g.starting:
		result(stack, resultDenied)
	default:
		g.say(text)
		result(stack, 0)
	}
}

// log (level, text, text_len) -> 0.
func (h *host) log(c *wasm.Call, stack []uint64) {
	text, ok := view(c, stack[1], stack[2])
	if !ok {
		result(stack, resultBounds)
		return
	}
	level := int(min(uint32(stack[0]), 3))
	if n := c.Log(len(text)); n < len(text) {
		h.write(c, level, text[:n])
		result(stack, resultLimit)
		return
	}
	h.write(c, level, text)
	result(stack, 0)
}

func (h *host) write(c *wasm.Call, level int, text []byte) {
	c.Charge(priceLog + int64(len(text))/perOctet)
	text = bytes.TrimRight(text, "\n")
	g, ok := c.State.(*guest) // before ananas_buffer nobody knows yet whose it is
	if len(text) == 0 || !ok {
		return
	}
	if g.starting {
		g.say(text)
	}
	if h.logs == nil {
		return
	}
	if u := &g.l.use; h.rate != nil && !h.rate.take(u.Module, u.Limits.LogLines, h.boot()) {
		h.leftOut.With(u.Module).Inc()
		return
	}
	h.logs(g.l.use.Module, level, printable(text))
}

// maxLine is how much of a line on the standard output is kept until its end comes.
const maxLine = 1024

// output logs what goes to the standard output and error, line by line: Go's println and its runtime write a line in many pieces.
func (h *host) output(c *wasm.Call, text []byte) {
	g, ok := c.State.(*guest)
	if !ok {
		return
	}
	for len(text) > 0 {
		line, rest, ended := bytes.Cut(text, []byte("\n"))
		g.line = append(g.line, line[:min(len(line), maxLine-len(g.line))]...)
		if ended {
			h.write(c, 1, g.line)
			g.line = g.line[:0]
		}
		text = rest
	}
}

// resolve (name, name_len, type, out, room) -> octets of an answer record, which are written if they fit.
func (h *host) resolve(c *wasm.Call, stack []uint64) {
	wire, ok := view(c, stack[0], stack[1])
	c.Charge(priceResolve)
	g, known := c.State.(*guest)
	if !ok {
		result(stack, resultBounds)
		return
	}
	name, err := parseName(wire)
	typ := dns.Type(stack[2])
	switch {
	case err != nil || uint32(stack[2]) > 0xffff || typ.IsMeta():
		result(stack, resultMalformed)
		return
	case !known || g.q == nil || g.q.Resolve == nil:
		result(stack, resultDenied)
		return
	}
	rep, err := h.ask(g, name, typ)
	switch {
	case err == errWaits:
		result(stack, resultLimit)
		return
	case err != nil:
		result(stack, resultFailed)
		return
	}
	b := rep.appendReply(nil, &Query{Name: []byte(name.Lower().Wire()), Type: typ}, seesNobody)
	c.Charge(int64(len(b)) / perOctet)
	if uint64(len(b)) > uint64(uint32(stack[4])) {
		result(stack, resultRoom)
		return
	}
	out, ok := view(c, stack[3], uint64(len(b)))
	if !ok {
		result(stack, resultBounds)
		return
	}
	copy(out, b)
	result(stack, len(b))
}

// errWaits is why a question is not asked.
var errWaits = errors.New("too many calls of the module wait for answers")

// ask asks a question of a module's own, if not too many of its calls wait already.
func (h *host) ask(g *guest, name dns.Name, typ dns.Type) (*Reply, error) {
	client := oneClient(g.q.Client)
	if !g.l.waits.enter(client, g.l.module.Limits().Instances) {
		h.waits.With(g.l.use.Module).Inc()
		return nil, errWaits
	}
	defer g.l.waits.leave(client)
	return g.q.Resolve(name, typ)
}

// random (out, out_len) -> 0.
func (h *host) random(c *wasm.Call, stack []uint64) {
	out, ok := view(c, stack[0], stack[1])
	if !ok {
		result(stack, resultBounds)
		return
	}
	c.Charge(int64(len(out)))
	c.Random(out)
	result(stack, 0)
}

// LogTo returns a Logs that writes to a log.
func LogTo(log *slog.Logger) Logs {
	levels := [...]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	return func(module string, level int, text string) {
		log.Log(context.Background(), levels[level], "a module says", "module", module, "text", text)
	}
}
