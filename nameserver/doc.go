// Package nameserver is the way of a DNS query through a node.
//
// Read [Server.Serve]: it tells the whole path. A query is admitted (parsed, access, class, type), answered from what the cache
// holds if that will do, else handed to a goroutine of its own that resolves it; every answer is written by finish and
// counted by record. What an answer is made of is found by the packages below: cache, recurse.
//
// Settings are a [Table], immutable, taken once for each query. What was learned lives in the [Server] and what it was built
// from, and survives a change of settings.
package nameserver
