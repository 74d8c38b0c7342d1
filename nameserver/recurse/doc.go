// Package recurse answers questions by asking the name servers of the world, from the root down.
//
// [Resolver.Resolve] is the one door. It walks the chain of aliases; for each link it looks into the cache and, where that does
// not help, joins or starts a job: the resolution of one name and type, asked once however many wait for it, with a deadline of
// its own that outlives whoever began it.
//
// A job is a loop of stages, one file each:
//
//	deepest    the closest delegation, stub or forward that is known; for the root perhaps a copy in this process (deepest.go, localroot.go)
//	minimise   how much of the name this zone's servers need to see (minimise.go)
//	choose     which of the servers to ask (choose.go, with what is remembered of servers in servers.go)
//	ask        sockets, timers, randomness: a question out, a reply in (ask.go, socket.go, tcp.go)
//	classify   what the reply is: answer, alias, denial, referral, or a reason to ask again (classify.go; pure)
//	scrub      which records of it may be believed (scrub.go; pure)
//	keep       what goes into the cache, at which rank (keep.go)
//
// until the loop follows a referral no more and concludes.
//
// Example: www.example. A on an empty cache. deepest finds only the hints; the root is asked for "example. A" (minimised), answers with a
// referral; keep stores the delegation, deepest goes on with it; its server is asked for "www.example. A" and answers.
// A hard one: a.example is served by ns.b.example, b.example by ns.a.example, without glue. The job for www.a.example needs the
// address of ns.b.example and waits for that job, which needs ns.a.example, whose job needs ns.b.example again: before it
// waits, the graph of who waits for whom is searched (flight.go), the cycle is seen, and that branch fails at once.
//
// What is believed: a server speaks for its zone and nothing else. DESIGN.md has the rules, and the scenario that holds each.
package recurse
