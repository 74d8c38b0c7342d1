package node

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/nameserver"
)

// ListSamples shows queries that were written down.
func (n *Node) ListSamples(_ context.Context, q admin.SampleQuery) (admin.SampleList, error) {
	f := nameserver.SampleFilter{Name: q.Name, Client: q.Client, Limit: q.Limit}
	for o := nameserver.FromImage; o <= nameserver.FromRefused && q.From != ""; o++ {
		if slices.Contains(strings.Split(q.From, ","), o.String()) {
			f.From = append(f.From, o)
		}
	}
	list, total, oneIn := n.server.Samples(f)
	out := admin.SampleList{OneIn: oneIn, Total: total, Samples: []admin.Sample{}}
	for i := range list {
		out.Samples = append(out.Samples, sampleEntry(&list[i]))
	}
	return out, nil
}

func sampleEntry(k *nameserver.Sample) admin.Sample {
	e := admin.Sample{
		At: k.At, Client: k.Client, Transport: k.Transport.String(), RCode: k.RCode.String(), From: k.From.String(),
		DO: k.DO, CD: k.CD, AD: k.AD, TC: k.TC, Bytes: k.Octets, TookUS: int64(k.Took / time.Microsecond),
	}
	if !k.Name.IsZero() {
		e.Name, e.Class, e.Type = k.Name.String(), k.Class.String(), k.Type.String()
	}
	return e
}
