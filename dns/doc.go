// Package dns holds names and messages of the Domain Name System as they are on the wire.
//
// Start with [Name] (a domain name), [RRset] (what a cache keeps and an answer is made of), [Parse] (a reply of a name
// server, checked whole) and [Builder] (an answer, compressed and bounded in size). [ParseQuery] is the cheap way in for
// what clients send.
//
// The package is pure: no socket, no clock, no randomness, no state. Everything it parses comes from strangers, so every
// length is checked, compression pointers may only point backwards and are counted, and nothing is believed because it parses: which
// records of a reply may be kept is decided by nameserver/recurse.
//
// Record data is kept uncompressed (RFC 3597 section 4 lists the types whose data may arrive compressed), as octets. Parsing looks into it
// no further than the layout of its fields, which must fit; [ParseSOA], [ParseRRSIG], [ParseDNSKEY], [ParseDS], [ParseNSEC],
// [ParseNSEC3] and [RdataName] read the types that a resolver goes by. Unknown types are octets. The presentation form comes
// from github.com/miekg/dns, which is never on the path of a query.
package dns
