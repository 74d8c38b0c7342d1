// Package cache keeps what the resolver has learned, within a fixed number of bytes.
//
// Start with [New], [Cache.Get], [Cache.Put] and, for negative answers, [Cache.GetDenial] and [Cache.PutDenial]. An RRset
// ([Entry]) is kept with the signatures that cover it, its rank (RFC 2181 section 5.4.1), what validation said of it, and who
// sent it; a denial ([Denial]) with its SOA and its proofs. [Cache.Purge] and [Cache.Walk] are the operator's.
//
// Entries lie in one run of memory outside the Go heap, named by offset; the collector has nothing to walk, and nothing that
// the package returns points into it: Get copies. A flood of names that are asked for once does not push out what is in use
// (S3-FIFO). Time is boot time, passed in.
//
// Promises: all memory stays within Config.Bytes; what Get returns is one whole Put; a live entry is only replaced by what is
// worth at least as much; what was purged is gone, and work that began before the purge does not bring it back; no content of
// the memory, however damaged, makes a look-up fail in another way than a miss.
//
// It does not decide what may be believed, nor when to ask again: that is nameserver/recurse. It keeps no failures and nothing
// of servers.
//
// DESIGN.md beside this file has the memory layout and the reasons.
package cache
