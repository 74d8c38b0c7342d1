// Package plugin runs WebAssembly modules in the path of a query: at phase query, before anything is looked for, at phase answer, before it is written, and at phase log,
// when it was sent.
//
// Start with [Chain]: the modules that the settings name, in their order, immutable. [Loader] makes chains of settings ([Compile]), and keeps what several of
// them share. The order of a query is told by [Chain.Query] and [Chain.Answer].
//
// How a guest is spoken to is docs/module-abi.md; its code is abi.go, the functions that it may call are in host.go. The sandbox itself is package wasm. This package
// knows DNS messages, and nothing of how names are resolved: who makes the [Loader] brings that as a function.
package plugin
