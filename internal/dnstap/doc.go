// Package dnstap reads what name servers write down of the messages that they get and send: the messages of dnstap (dnstap.info, dnstap.proto) in a file of Frame Streams
// (github.com/farsightsec/fstrm). Unbound, BIND, Knot, dnsdist, PowerDNS, NSD and CoreDNS write it.
//
// Start with [NewReader] and [Reader.Next]. The DNS messages themselves are not looked at: they are octets here. What a file holds may be anybody's: whatever is read is bounded,
// and an error says at which octet.
package dnstap
