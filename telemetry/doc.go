// Package telemetry is what a node says about itself: metrics in the Prometheus text format, structured logs, crash
// reports grouped by signature, and the checks behind /healthz and /readyz.
//
// Start with [NewMetrics], [NewLogger], [NewCrashes] and [NewHealth]; each is a value that is handed down, none is global.
//
// It knows no other package of the project: whoever owns a number registers an [Metrics.Counter] under a name that follows
// the convention `ananas_<package>_<what>_<unit|total>`, keeps the pointer and counts on it. A counter costs one atomic
// addition on a cache line of its own and never allocates, so it may stand in the path of every query. A nil *Metrics hands
// out instruments that count and are exported nowhere, so that a component needs no second way of being built in a test.
//
// Names and label sets are program text, so a wrong one is a mistake of the programmer and panics at registration, at the
// start of the process; nothing that arrives from outside can cause it.
package telemetry
