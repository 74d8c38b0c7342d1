package wasm

import (
	"fmt"
	"time"

	"github.com/ananas-edge/ananas/internal/weave"
)

// FastFuel is the most fuel of a call that runs without a pause. A unit is at most about a nanosecond (internal/weave), so it is 50 us: what a garbage collection, and with it
// every goroutine, then waits for a guest.
const FastFuel = 50_000

// sliceFuel is what a guest with more fuel runs between two pauses: a quarter of a millisecond at most, so that it is below one where memory is slow, and others wait for as
// little as that. A turn of the others costs 5 us.
const sliceFuel = 250_000

// Limits is what a module may use at most. The zero value of a field stands for its default.
type Limits struct {
	// Fuel of a call. Default: FastFuel. A module with more runs in slices. A suffix look-up in a list takes 300 to 1,000.
	Fuel int64

	// StartFuel is that of what a module does before its first call. Default: 32 slices, 8 ms at most, and 1 or 2 as a rule: to read the 64 KiB of names that settings may have takes 3,000,000 to
	// 6,000,000. It is spent where instances are made, when settings change and after a fault. Of a module that runs in slices 50,000,000, 50 ms: Go's runtime takes 5.
	StartFuel int64

	// Stack is how many octets of stack a module that runs in slices may use. Default: 1 MiB, which is Go's goroutine at its usual depth, 100 times. Of others, fuel bounds it:
	// 8 octets for a unit.
	Stack int64

	// MemoryPages is the size of its memory, in pages of 64 KiB. Default: 32, 2 MiB, which is a core's second cache: a load that misses it takes 100 to 300 ns, and no longer what its fuel says. A Rust
	// guest begins with 17. Of a module that runs in slices: 256, 16 MiB; a Go guest begins with 38. What a memory begins with, and grows to, is resident.
	MemoryPages uint32

	// TableEntries is the size of each of its tables. Default: 16,384 entries, of 8 octets each; a Go guest that uses little of the library has 5,400.
	TableEntries uint32

	// HostCalls is how often it may call the host in a call. Default: 64. The dearest ends with the resolver's own budget, the others take 50 ns to 1 us.
	HostCalls int

	// LogOctets is what it may log in a call. Default: 1,024: a line or a few; more would make a query's log larger than its answer.
	LogOctets int

	// ModuleOctets is the size of the module. Default: 8 MiB; a Go guest has 1.8 and upwards.
	ModuleOctets int

	// Functions, Entries (of all other sections), BodyOctets and Locals (of a function), Nesting (of blocks): what compiling takes grows with them, with some faster than linearly.
	// Defaults: 20,000, 65,536, 128 KiB, 1,000 and 2,000. A Go guest has 1,300 functions, the largest 14 KiB, 19 locals, 320 blocks in one another.
	Functions, Entries, BodyOctets, Locals, Nesting int

	// Instances is how many there are at once. Default: 64; so at most 128 MiB of memory, or 1 GiB where they run in slices.
	Instances int

	// CompileMemory is what compiling may take, in octets. Default: 1 GiB. CompileCPU is its processor time, CompileTime what may pass. Defaults: 30 s and 2 min. A Go guest takes
	// 200 MB and 1 s.
	CompileMemory           int64
	CompileCPU, CompileTime time.Duration
}

// withDefaults returns limits with every field set.
func (l Limits) withDefaults() Limits {
	set(&l.Fuel, FastFuel)
	if !l.sliced() {
		set(&l.StartFuel, 32*sliceFuel)
		set(&l.MemoryPages, 32)
	}
	set(&l.StartFuel, 50_000_000)
	set(&l.Stack, 1<<20)
	set(&l.MemoryPages, 256)
	set(&l.TableEntries, 16_384)
	set(&l.HostCalls, 64)
	set(&l.LogOctets, 1024)
	set(&l.ModuleOctets, 8<<20)
	set(&l.Functions, 20_000)
	set(&l.Entries, 65_536)
	set(&l.BodyOctets, 128<<10)
	set(&l.Locals, 1000)
	set(&l.Nesting, 2000)
	set(&l.Instances, 64)
	set(&l.CompileMemory, 1<<30)
	set(&l.CompileCPU, 30*time.Second)
	set(&l.CompileTime, 2*time.Minute)
	return l
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// sliced tells whether a module runs in slices.
func (l Limits) sliced() bool { return l.Fuel > FastFuel }

// weave returns what of the limits the weaver looks after.
func (l Limits) weave() weave.Options {
	return weave.Options{Refuel: l.sliced(), Limits: weave.Limits{
		MemoryPages: l.MemoryPages, TableEntries: l.TableEntries, Tables: 8,
		Functions: l.Functions, Entries: l.Entries, BodyOctets: l.BodyOctets, Locals: l.Locals, Nesting: l.Nesting,
	}}
}

func (l Limits) checkSize(octets int) error {
	if octets > l.ModuleOctets {
		return hinted{fmt.Errorf("the module has %d octets, at most %d", octets, l.ModuleOctets),
			"build it for size (strip debug information), or raise the limit for this module"}
	}
	return nil
}

// hinted is an error with a mend.
type hinted struct {
	error
	hint string
}

// Hint says what to do now.
func (h hinted) Hint() string { return h.hint }

func (h hinted) Unwrap() error { return h.error }
