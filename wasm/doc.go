// Package wasm is the sandbox: it runs WebAssembly modules of strangers in the process of a node, and can not be hurt by them.
//
// Start with [Open] and [Engine.Load]. The way of a module:
//
//	octets ─► size, imports against grants (link.go) ─► child process: limits, fuel woven in, validated, compiled (compile.go) ─► folder on disk
//	                                                                                                                      │
//	[Module] ◄─ loaded from there, host functions linked ◄────────────────────────────────────────────────────────────────┘
//	   └─► [Pool] ─► [Instance] ─► [Instance.Call]: fuel set, the guest runs, and returns or faults
//
// What bounds a module is in [Limits], each with its arithmetic. Its parts:
//
//   - Fuel, counted by code that is woven into the module (internal/weave). Up to FastFuel a module runs to its end or traps, so that it
//     may be called in a loop that others wait for. A module with more runs in slices, between which other goroutines and the garbage collector have their turn.
//   - Memory outside Go's heap, of a size that is fixed when the module is loaded.
//   - Host functions: those that are offered and granted, and no others; so many of them in a call.
//   - Compilation, in a process of its own with limits of the system on memory and time. This process never compiles a guest's code, it only loads it.
//
// An instance that faulted is closed and another one made, never used again: its memory may be anything. Guests share nothing.
//
// The package knows nothing of DNS, of settings and of how a guest is spoken to (docs/module-abi.md); who uses it brings the functions of the host.
package wasm
