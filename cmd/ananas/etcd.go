package main

import (
	"github.com/ananas-edge/ananas/store/etcd"
)

// etcdCommand is what a node that is a member of the root runs as its child.
type etcdCommand struct{}

// Run ends when the input does: a signal to both ends the node, which ends this.
func (*etcdCommand) Run(p *process) error {
	return etcd.RunMember(p.stdin, p.stdout)
}
