// Package zone holds a zone whole in memory and answers from it as an authoritative server of the zone would; and it keeps such a copy of the
// root zone fresh, for the resolver of the same node (RFC 8806).
//
// Three types are all there is:
//
//	Zone       the records, immutable; [Parse] makes one of a zone file, a transfer (RFC 5936) of what a server sends
//	Policy     what has to be proved of it before it is used: [Zone.Verify] does it, by DNSSEC and ZONEMD (RFC 8976)
//	LocalRoot  the copy of the root that is in use: where it comes from, how old it is, when it is asked for anew, and the copy on disk
//
// Example: com. is looked for. The resolver has no delegation for it and asks the local root ([LocalRoot.Ask]) in place of a root server. The
// answer is a message like that of a server: a referral with DS, signatures and glue. The resolver parses, classifies, scrubs and validates it
// like any other, so that nothing is believed because it lay here.
//
// A hard one: the servers of the transfer have been silent for a week. The copy's SOA record says that it must not be used any more. From
// that moment Ask says no, and the resolver asks the root servers, with the same question and without a delay; the log, a metric and /readyz say
// so. When one of the servers is back and says that its serial is still the same, the copy is good again, and nothing is transferred.
//
// What is refused: a copy that is not complete, one that is not signed by the trust anchors when they say that the root is signed, one whose
// digest is wrong, one that is older than the copy in use, one that uses NSEC3 for its denials (the root does not).
//
// DESIGN.md has the rules, each with its RFC and its test.
package zone
