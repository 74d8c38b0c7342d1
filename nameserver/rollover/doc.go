// Package rollover keeps trust anchors up to date as RFC 5011 says: a key that is announced long enough, by keys that are trusted, becomes
// trusted itself; one that revokes itself is never trusted again. It is pure: no network, no clock. Only [Store] touches the disk.
//
// Start with [Point], which is what is known of the keys of one zone (RFC 5011 calls it a trust point):
//
//	p, _ := Begin(anchors, known, now, checks)       the settings' anchors, joined with what was known of them before
//	p, changes, err = p.See(dnskey, now, checks)     what the zone says of its keys now
//	p.Trusted()                                      the anchors that hold from now on
//
// A normal roll-over: the settings have a DS record of key A. The zone shows {A, B}, signed by A. A is Valid at once, for the settings name
// it; B is a newcomer and becomes AddPend. A month of such sets later B is Valid, and signs beside A or instead of it. Then the zone
// shows {A revoked, B}, signed by both: A is Revoked, and a month after it was last shown, Removed.
//
// A hard one: whoever stole A announces C. He can sign {A, C} for a month only if nobody sees the zone's own {A, B} in between: a set
// without C takes C back to the start. The owner of the zone, who has B, revokes A; what A alone announced falls with it.
//
// DESIGN.md has the rules, each with its section of the RFC and its test.
package rollover
