package wasm

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ananas-edge/ananas/telemetry"
)

// Cause is why a guest was ended.
type Cause string

// The causes. They are values of a label of metrics.
const (
	Fuel      Cause = "fuel"       // all that it had was spent
	Stack     Cause = "stack"      // its functions called each other too deep
	HostCalls Cause = "host_calls" // it called the host too often
	Memory    Cause = "memory"     // an address that is not in its memory
	Trap      Cause = "trap"       // it trapped for another reason: unreachable, a division by zero, a bad index
	Host      Cause = "host"       // a function of the host ended it
	Canceled  Cause = "canceled"   // nobody waits for it any more
)

// Fault is the error of a guest that was ended.
type Fault struct {
	Module, Function string
	Cause            Cause
	Spent            int64 // fuel, until then
	Err              error // with the functions that were under way, if the module has their names
}

func (f *Fault) Error() string {
	text := map[Cause]string{
		Fuel:      "its fuel was spent",
		Stack:     "its stack grew too large",
		HostCalls: "it called the host too often",
		Memory:    "it used an address that is not in its memory",
		Trap:      "it trapped",
		Host:      "the host ended it",
		Canceled:  fmt.Sprintf("after %d units of fuel nobody waits for it any more", f.Spent),
	}[f.Cause]
	return fmt.Sprintf("calling %q of module %q: %s: %v", f.Function, f.Module, text, f.Err)
}

func (f *Fault) Unwrap() error { return f.Err }

// fault makes the error of a call, and marks the instance.
func (i *Instance) fault(function string, err error, fuel int64) error {
	i.faulted = true
	cause := Trap
	var host trapped
	text, _, _ := strings.Cut(err.Error(), "\nwasm stack trace:") // what follows are names that the module has given
	switch {
	case errors.Is(err, errFuel):
		cause = Fuel
	case errors.Is(err, errHostCalls):
		cause = HostCalls
	case errors.As(err, &host) && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)):
		cause = Canceled
	case errors.As(err, &host):
		cause = Host
	case strings.Contains(text, "unreachable") && i.stack == nil && fuel < 0:
		cause = Fuel
	case strings.Contains(text, "unreachable") && i.stack != nil && int64(i.stack.Get()) < 0, strings.Contains(text, "stack overflow"):
		cause = Stack
	case strings.Contains(text, "out of bounds memory access"):
		cause = Memory
	case !strings.Contains(text, "wasm error"):
		cause = Host // it panicked, and that is a mistake of ours
	}
	i.module.engine.counted.faults.With(i.module.spec.Name, string(cause)).Inc()
	return &Fault{i.module.spec.Name, function, cause, i.spent, err}
}

// counters count what happens to modules.
type counters struct {
	faults   *telemetry.CounterVec
	refused  *telemetry.Counter
	replaced *telemetry.Counter
	none     *telemetry.Counter
	busy     *telemetry.Counter
}

func newCounters(m *telemetry.Metrics) counters {
	return counters{
		faults:   m.CounterVec("ananas_wasm_faults_total", "Calls of modules that were ended, by module and cause (fuel, stack, host_calls, memory, trap, host, canceled).", "module", "cause"),
		refused:  m.Counter("ananas_wasm_refused_total", "Modules that were not compiled: too large, not valid, or too dear to compile."),
		replaced: m.Counter("ananas_wasm_replaced_total", "Instances of modules that were replaced after a fault."),
		none:     m.Counter("ananas_wasm_no_instance_total", "Calls for which no instance of the module was free, up to its limit."),
		busy:     m.Counter("ananas_wasm_gave_up_total", "Calls that were given up, since no instance of the module came free for a second."),
	}
}
