// Package trial runs a new version of a module beside the one that runs, on the same queries, and tells where their verdicts differ. Neither has a say in anything: the queries were answered already, by
// this node or by any server.
//
// Start with [Open], which takes what the settings say of modules and what is to be tried instead ([Request]); give it queries by [Trial.Look], and read [Trial.Report]. A [Record] is a query with what
// was answered: of the lines that a node writes of its answers ([plugin.Tap]), or of messages on the wire ([Message.Record]), which [Messages] takes from a file of dnstap.
//
// Both versions are called with the same octets, time and seed, one after the other, by one goroutine, in instances of their own. They have the fuel and the memory that they would have in the path of a
// query. What they count and log is thrown away, what they are told of other names is what a cache has ([Config.Resolve]).
package trial
