package wasm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/api"
)

// Types of values that a function of the host takes and returns.
const (
	I32 = api.ValueTypeI32
	I64 = api.ValueTypeI64
)

// Function is one that the host offers to guests.
type Function struct {
	Module, Name    string // as a guest imports it
	Params, Results []api.ValueType

	// Capability is what must have been granted: itself, or one below it ("data" by the grant "data/malware", which the function then has to hold the guest to). "" needs no grant.
	Capability string

	// Free functions do not count as calls of the host, but cost fuel: those that only fill a guest's runtime.
	Free bool

	// Call does it. The parameters are in stack, and the results go there. It runs on the guest's goroutine, and must not keep anything of c. What a guest may do wrong is answered by a
	// result; [Call.Trap] ends the guest.
	Call func(c *Call, stack []uint64)
}

func (f *Function) String() string { return f.Module + "." + f.Name }

// granted tells whether one of the grants covers a capability.
func granted(capability string, grants []string) bool {
	for _, g := range grants {
		if g == capability || strings.HasPrefix(g, capability+"/") {
			return true
		}
	}
	return capability == ""
}

// Call is one call of a guest, as its host functions see it. There is one for each instance, used again and again, so that a call allocates nothing.
type Call struct {
	context.Context // of a call in slices; else one that never ends

	// Now is the time of the query, in nanoseconds since 1970: the only clock that a guest has. Seed is what its random numbers come from, State what belongs to who calls. All three are set before a
	// call, and stay until they are set again.
	Now   int64
	Seed  uint64
	State any

	instance  *Instance
	hostCalls int
	logged    int
	drawn     uint64
	slept     int64 // nanoseconds, of a guest that believes so
	left      int64 // fuel, beside what the guest has
}

// Memory is the guest's memory: its methods tell when an address is not in it.
func (c *Call) Memory() api.Memory { return c.instance.memory }

// Grants is what the module was granted.
func (c *Call) Grants() []string { return c.instance.module.spec.Grants }

// View returns n octets of the guest's memory at an address; false if they are not there. They are the guest's own: valid until the host function returns. Of a
// parameter of 32 bits take those first: above them there may be anything.
func (c *Call) View(at, n uint64) ([]byte, bool) {
	if at > 1<<32-1 || n > 1<<32-1 {
		return nil, false
	}
	return c.instance.memory.Read(uint32(at), uint32(n))
}

// Charge takes fuel for work that the host does for the guest.
func (c *Call) Charge(n int64) {
	left := int64(c.instance.fuel.Get()) - n
	c.instance.fuel.Set(uint64(left))
	if left+c.left < 0 {
		panic(errFuel)
	}
}

// Log returns how many of n octets the guest may still log in this call, and counts them.
func (c *Call) Log(n int) int {
	n = max(min(n, c.instance.module.spec.Limits.LogOctets-c.logged), 0)
	c.logged += n
	return n
}

// Random fills b with what follows from the seed and what was drawn in this call before: the same call draws the same again.
func (c *Call) Random(b []byte) {
	for len(b) > 0 {
		c.drawn++
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], mix(mix(c.Seed)+c.drawn*0x9e3779b97f4a7c15))
		b = b[copy(b, word[:]):]
	}
}

// mix is the output function of SplitMix64 (Steele, Lea, Flood 2014): random numbers for sampling and shuffling, not for secrets.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Trap ends the guest with a fault for which cause is the reason. It does not return.
func (c *Call) Trap(cause error) { panic(trapped{cause}) }

// trapped is what a host function ends a guest with.
type trapped struct{ error }

func (t trapped) Unwrap() error { return t.error }

var (
	errFuel      = errors.New("its fuel is spent")
	errHostCalls = errors.New("it called the host too often")
)

// freeCall is what a free function costs, in fuel: to leave a guest and come back takes 50 to 100 ns, and a loop of nothing else must not be cheaper than one of additions.
const freeCall = 100

// wazeroFunction makes what wazero calls.
func (f *Function) wazeroFunction() api.GoModuleFunction {
	call, free := f.Call, f.Free
	return api.GoModuleFunc(func(ctx context.Context, _ api.Module, stack []uint64) {
		c := ctx.(*Call) // Instance.Call gives no other
		if free {
			c.Charge(freeCall)
		} else if c.hostCalls--; c.hostCalls < 0 {
			panic(errHostCalls)
		}
		call(c, stack)
	})
}

// typeText is a function's type as errors have it.
func typeText(params, results []api.ValueType) string {
	name := func(types []api.ValueType) string {
		names := make([]string, len(types))
		for i, t := range types {
			switch names[i] = api.ValueTypeName(t); t {
			case 0x7b:
				names[i] = "v128"
			case 0x70:
				names[i] = "funcref"
			}
		}
		return "(" + strings.Join(names, ", ") + ")"
	}
	return fmt.Sprintf("%s -> %s", name(params), name(results))
}
