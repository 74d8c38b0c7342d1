// Package weave rewrites a WebAssembly module so that it counts what it does, and ends, or asks, when it has done enough.
//
// Start with Parse, which reads a module that somebody has validated, and Module.Weave, which writes it anew. What is added stands behind
// all that the module has of its kind: one global, and for Refuel a second one, a table and types. So no index of the module's own changes, its code is
// copied octet for octet, and the counting is put between its instructions:
//
//	function entry   fuel -= cost of the frame and of the code up to the first branch; below zero: stop
//	loop header      fuel -= cost of the code up to the first branch; below zero: stop
//	other branches   fuel -= cost of the code up to the next one
//	memory.copy ...  fuel -= what its length costs; below zero: stop, before it is done
//
// Every way around a circle passes a loop header or a function entry, and so a check. Between two checks runs at most the code of one function, once.
// Code that is short is charged where the branch to it is (fold.go), so that what runs is never charged less than it costs.
//
// "Stop" is a trap; or, with Refuel, a call through the table that was added, whose one entry the host fills. It may let others run, add fuel and
// return, or panic. There the stack is counted too, by a global of its own, which a return gives back: fuel that is added again and again would not bound it.
//
// A start function becomes an export, so that the host calls it, with fuel. Maxima of memories and tables are lowered to the limits. A name of an export that
// begins with Prefix is refused, so nothing of the module can see or set what was added.
//
// The package holds a module to its Limits, and refuses what is newer than WebAssembly 2.0. It does not validate: on a module that is not valid it returns
// an error or a module that is not valid either, and does not panic.
package weave
