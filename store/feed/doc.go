// Package feed carries a store from its root to every node, and word of how they are back up.
//
// A node that others follow has a [Source]: it sends records from its own copy, or a snapshot where they do not reach, and passes on the beats of the root. A node
// that follows has a [Follower]: it puts what comes on its copy, leaves a source without a beat for the next one, goes back to an earlier one that is there again, and hands up reports. A relay has both, over one copy.
// frame.go has the form of what travels.
//
// Nothing here decides who may connect or what he may read: a [Gate] does.
package feed
