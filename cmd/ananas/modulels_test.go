package main

import (
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/admin"
)

// What a module needs and wants is told where it runs, granted or not.
func TestModuleTable(t *testing.T) {
	modules := []admin.Module{
		{
			Name: "family", Version: "1.4.0", SHA256: "0123456789", Needs: []string{"data/malware", "log"}, Wants: []string{"data/adult", "data/mine", "data/other"}, Alarm: "it has failed",
			Uses: []admin.Use{
				{Phase: "query", Place: 1, Mode: "open", Missing: []string{"data/adult", "data/mine"}, Verdicts: map[string]uint64{"NXDOMAIN": 1234}},
				{Phase: "answer", Place: 2, Mode: "open", Out: true, Missing: []string{"data/adult"}},
			},
		},
		{Name: "idle", SHA256: "01", Needs: []string{"client"}},
		{Name: "plain", SHA256: "02", Uses: []admin.Use{{Phase: "query", Place: 3, Mode: "closed", Off: true}}},
	}
	var b strings.Builder
	if err := moduleTable(modules).Write(&b); err != nil {
		t.Fatal(err)
	}
	const want = `MODULE  VERSION  DIGEST    PHASE   PLACE  MODE    STATE         FAULTS  VERDICTS
family  1.4.0    01234567  query   1      open    runs               0  1,234 NXDOMAIN
    it has failed
family  1.4.0    01234567  answer  2      open    taken out          0  -
    needs data/malware (granted), log (granted)
    wants data/adult (not granted), data/mine (not granted at phase query), data/other (granted)
idle    -        01        -       -      -       runs nowhere       -  -
    no plugin runs it: ananas module show idle says how to have it run
    needs client
plain   -        02        query   3      closed  disabled           0  -
`
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
