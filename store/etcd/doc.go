// Package etcd is a root that is decided by etcd.
//
// etcd runs in a child process, [RunMember], because it ends its process when it can't write to its disk, and a node has to go on answering then. The node
// keeps it running, and reaches it by a socket in the data folder and in no other way. [Open] returns the [Root] at once, whether or not etcd can be started;
// [Root.State] says how it is.
//
// What lies in etcd, and what a commit is there, is in layout.go and commit.go; how it is kept small is in keep.go.
package etcd
