// Package lab is an internet in one process: root servers, 1,508 real top-level domains, second-level zones and hosts made from a seed,
// all signed as they are asked for, and every misbehaviour that resolvers meet, to order. It is what `make run` resolves in,
// and what tests and benchmarks of the resolver measure against.
//
// Start with [ParseWorld] (a text that says what there is and what is wrong with it; docs/lab.md describes it), [New] (a lab) and
// [Lab.Network] (its carrier in memory, on real or fake time) or [Lab.ServeSockets] (its carrier on port 53 of every address of a
// network namespace). [Lab.RootHints] and [Lab.TrustAnchors] are what a resolver needs to know of it.
//
// The way of a question through the files: memory.go, stream.go or sockets.go take it in; exchange.go draws what becomes of it, by
// fault.go and kinds.go; answer.go answers from a zone, whose content is in written.go, generate.go or site.go and host.go; denial.go
// and sign.go prove it; message.go lays it out. transfer.go gives the root as a whole, with the digest of zonemd.go.
//
// What is drawn is a function of seed, server, question and attempt, so that a run can be repeated, question by question. The package
// answers for itself with code of its own: it shares names and types with the resolver (package dns), and no way of reading or
// writing messages.
package lab
