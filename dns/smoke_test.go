package dns

import (
	"testing"

	miekg "github.com/miekg/dns"
)

func TestBuildAndParse(t *testing.T) {
	rrs, err := ParseZone(`
www.example. 300 IN A 192.0.2.1
www.example. 300 IN A 192.0.2.2
example. 300 IN SOA ns.example. host.example. 1 2 3 4 5
example. 300 IN MX 10 mail.example.
`, "t", Root, 100)
	if err != nil {
		t.Fatal(err)
	}
	var b Builder
	b.Start(nil, 512, 7, FlagQR)
	q := Question{MustParseName("wWw.example"), TypeA, ClassINET}
	b.Question(q)
	for i, rr := range rrs {
		if !b.AddRR(Section(min(i/2, 1)), rr) {
			t.Fatal("does not fit")
		}
	}
	b.OPT(EDNS{UDPSize: 1232, DO: true})
	w := b.Finish()
	var m miekg.Msg
	if err := m.Unpack(w); err != nil {
		t.Fatal(err)
	}
	t.Log(len(w), m.String())
	var mm Message
	if err := Parse(w, &mm); err != nil {
		t.Fatal(err)
	}
	for _, s := range mm.Sections {
		for _, rr := range s {
			t.Log(rr)
		}
	}
	if len(mm.Sections[0]) != 2 || len(mm.Sections[1]) != 2 || !mm.HasEDNS || !mm.EDNS.DO {
		t.Fatalf("%+v", mm)
	}
}
