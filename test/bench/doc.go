// Package bench measures the resolver beside Debian's Unbound, and others, on the same lab: an internet in one process, reached through sockets in
// a network namespace that the benchmark makes for itself. README.md says what the figures mean.
//
// The programs are cold (names that are in no cache), attack (random names under a zone whose servers hardly answer), hostile (zones that are made
// to cost), memory and diff. Each [Run]s in a [Rig], starts an [Internet] in it, and then again and again a fresh resolver from a [Contender]. Package load asks the questions.
//
// The program cached measures cached answers beside five servers; what it asks is in NSD's zones, not in the lab's, and package flood asks as
// fast as it is answered, in a process of its own (asker).
//
// Everything that is started ends with the program, however that ends: children are killed by the kernel when their parent dies, and
// the namespace goes with its last process.
package bench
