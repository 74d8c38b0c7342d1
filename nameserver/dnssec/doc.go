// Package dnssec tells whether DNS data is what its owner signed (RFC 4033 to 4035, and what followed). It is pure: no network, no clock, no
// state. What it needs and has not, the caller fetches, and calls again.
//
// Three checks are all there is, and each gives a [Result]: secure, insecure or bogus, with a reason that names the record at fault.
//
//	CheckKeys   the DNSKEY set of a zone, by its DS records or by trust anchors -> Keys
//	CheckSet    any RRset, by the Keys of its zone
//	Denial      what is not there, by the NSEC and NSEC3 records of its zone, each checked by CheckSet
//
// Example: is www.example. A secure? Its signature names the zone example. as signer, so the keys of example. are needed; for them, its DS
// set, which the root signs; for that, the keys of the root, which the trust anchors name. So, from the top:
//
//	root, _ := CheckKeys(".", DNSKEY of the root, anchors...)
//	CheckSet(DS of example., root)
//	keys, _ := CheckKeys("example.", DNSKEY of example., those DS records)
//	CheckSet(A of www.example., keys)
//
// If the root had no DS for example., its NSEC or NSEC3 record in the referral would have to prove it ([Denial.Unsigned]), and everything
// below would be insecure. A hard one: the answer has a signature that was made for fewer labels than its name has. Then it came from
// a wildcard, [Result.Wildcard] is set, and it is good only if the reply proves that no closer name exists ([Denial.Expanded]).
//
// All checks for one answer share a [Work], which bounds what they may cost together. Algorithms and digests that are not supported make
// a zone insecure; algorithm.go has the one table of them.
//
// DESIGN.md has the rules, each with its RFC and the test that holds it.
package dnssec
