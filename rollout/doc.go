// Package rollout moves a change through the fleet in waves: a few nodes use it first, then more, and all only when those that had it did well. It knows nothing of what it
// moves, nor of where that is kept: a [Subject] commits, a [Health] tells how the nodes are.
//
// Start with two functions, which are pure:
//
//	Holds(r, node)           whether a node uses the change now; every node asks it of itself, and nobody has to tell it
//	Judge(plan, view, now)   what the figures of those that hold the change say against those that do not: pass, fail, wait, pause
//
// A [Driver] joins them: once a second, on the one node that is elected, it reads the rollouts that are open, judges each, and has the subject commit the document that follows (steps.go).
//
// A normal rollout: it is opened with four waves, canary, 10 %, 50 %, all. The driver names the canaries, one node for each site, and commits the document; all nodes read it, the
// canaries find their names in it and use the change. For 30 s their figures are compared with those of the others. They are no worse, so the driver commits the document with
// the next wave, and so on. After the last it has the subject put the change into what everybody has, in the same commit that ends the rollout.
//
// A hard one: the canary of one site has served a hundred queries, the driver dies, the change cuts the canary off. The next driver has no figures and starts the time of
// the wave again. The canary's name is in the document, so that its silence is seen by who never heard it: after 20 s the change is withdrawn, with the reason. The canary
// has dropped the change by itself (package node), since it has had no word for 30 s.
//
// What the package refuses: to pass for want of traffic, to go on blind, to end twice. DESIGN.md has the states and the arithmetic.
package rollout
