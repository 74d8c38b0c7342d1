package node

import (
	"net/netip"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver"
)

// A query over a socket shows up in the samples, from wherever its answer came; a reload turns them off.
func TestSamples(t *testing.T) {
	if admin.MaxSampleLimit != nameserver.MaxSamples {
		t.Errorf("the API lists up to %d of %d samples", admin.MaxSampleLimit, nameserver.MaxSamples)
	}
	for o := nameserver.FromImage; o <= nameserver.FromRefused; o++ {
		if int(o) >= len(admin.Origins) || admin.Origins[o] != o.String() {
			t.Errorf("the API has no name for answers that came from %v", o)
		}
	}
	b := newBench(t, plain+"  sampling: { one_in: 1 }\n")
	n := b.start()
	for range 3 { // resolved, cached, and from the image that the second one leaves
		askA(t, n, "www.example.com", "192.0.2.80")
	}
	ask(t, "tcp", n.Addrs()[0], query("Nobody.example.com", miekg.TypeMX))
	all := admin.SampleQuery{Name: dns.Root, Limit: 10}
	list, err := n.ListSamples(t.Context(), all)
	if err != nil || list.OneIn != 1 || list.Total != 4 || len(list.Samples) != 4 {
		t.Fatalf("%+v, %v", list, err)
	}
	for i, want := range []admin.Sample{
		{Transport: "tcp", Name: "nobody.example.com.", Type: "MX", RCode: "NXDOMAIN", From: "resolved"},
		{Transport: "udp", Name: "www.example.com.", Type: "A", RCode: "NOERROR", From: "image"},
		{Transport: "udp", Name: "www.example.com.", Type: "A", RCode: "NOERROR", From: "cache"},
		{Transport: "udp", Name: "www.example.com.", Type: "A", RCode: "NOERROR", From: "resolved"},
	} {
		got := list.Samples[i]
		if i == 1 && got.From == "cache" { // a second began while the image would have been made, so there is none
			want.From = got.From
		}
		want.At, want.Bytes, want.TookUS = got.At, got.Bytes, got.TookUS
		want.Client, want.Class = netip.MustParsePrefix("127.0.0.0/24"), "IN"
		if got != want || got.At.Before(n.started) || got.Bytes == 0 {
			t.Errorf("sample %d is %+v, want %+v", i, got, want)
		}
	}
	if status, body := get(t, n, "/api/v1/queries?name=nobody.example.com&client=127.0.0.1"); status != 200 || !strings.Contains(body, `"total":1,`) {
		t.Errorf("HTTP %d %s", status, body)
	}
	if got := metric(t, n, "ananas_nameserver_samples_total"); got != "4" {
		t.Errorf("%s samples are counted", got)
	}
	b.write("node.yaml", plain+"  sampling: { one_in: 0 }\n")
	if r, err := n.Reload(t.Context()); err != nil || len(r.Changed) != 1 || r.Changed[0] != "settings.sampling.one_in" {
		t.Fatalf("%+v, %v", r, err)
	}
	askA(t, n, "www.example.com", "192.0.2.80")
	if list, err := n.ListSamples(t.Context(), all); err != nil || list.OneIn != 0 || list.Total != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}
