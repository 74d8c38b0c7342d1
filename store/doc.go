// Package store is the replicated, versioned map of settings: what a commit is, how it is decided, and what everybody checks before believing it.
// It holds no socket and no disk. Its parts below do:
//
//	etcd      a root: commits decided by etcd, in a child process
//	replica   the whole copy that every node keeps on its disk, and reads from memory
//	identity  who is who: certificate authority, join tokens, revocation, who reads what
//	feed      how records, snapshots and blobs go down to followers, and health comes up
//
// Begin with [Record], one commit, and [Head], what all commits so far came to. A [Writer] turns a [Proposal] into a record and has a [Root] decide
// it; a copy takes records one by one, each checked by [Head.Next]. DESIGN.md tells how the parts work together and which promises hold.
package store
