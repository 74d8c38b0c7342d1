// Package node is one node: it opens what the settings name, joins the parts, serves, swaps settings and closes. It is the only
// package that knows all the others; none knows it but cmd/ananas.
//
// Start with [Start]; [Node.Reload] reads the file again; [Node.Close] ends it in reverse order.
package node
