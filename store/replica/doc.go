// Package replica is the whole local copy of the store that every node keeps: on disk, so that it is there again after a kill at any instruction, and in memory, so
// that nothing that reads it waits for a disk.
//
// [Open] reads the copy, [Replica.View] gives one version of it, immutable, for as long as it is held. What changes it is one of three:
//
//	Apply          records from a feed or from etcd, each checked before it is believed
//	BeginSnapshot  a whole map that replaces this one, where records can't
//	Load           a commit of this node's own, where its file is the truth
//
// A change is on the disk before a view shows it. The log of what was changed, and what was there before, stays for a time: [Replica.Records] feeds others with it,
// [Replica.History] and [Replica.At] look back.
//
// An example: a record arrives. Apply checks that it follows the head and that what it replaces is what the copy has, makes the next index, which shares all but a few pages with
// the last, writes record, entries and head in one transaction, and stores one pointer. Who read meanwhile had the old version, whole; who waits for the new one is woken.
//
// A hard one: the disk is full when the second half of that transaction is written. The index that was made is forgotten, the view stays, and Apply returns a [*DiskError] that
// says what to do. It can't be told from such an error whether a commit took hold, so the next call opens the file again and looks: what is there it checks and shows, then goes on with
// what is not. A file that is spoilt is found when it is opened, whatever octet it is, put aside, and an empty copy begins: the node takes a snapshot.
//
// What is kept where, and why, is in DESIGN.md of package store.
package replica
