package main

import (
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/nameserver/plugin/trial"
)

// Who asks for an error if something is not as it was has one also if nobody looked.
func TestTryingFails(t *testing.T) {
	for what, c := range map[string]struct {
		uses []trial.Use
		want string // "": none
	}{
		"alike":                       {[]trial.Use{{Alike: 3}, {Unanswered: 3}}, ""},
		"one differs":                 {[]trial.Use{{Alike: 3, Differ: 1}}, "1 verdict differs"},
		"failed at phase log":         {[]trial.Use{{New: trial.Version{Faults: 2}}}, "the new version has failed 2 times"},
		"nobody asked":                {[]trial.Use{{}}, "nothing was compared"},
		"no answer is known":          {[]trial.Use{{Unanswered: 7}}, "nothing was compared"},
		"it runs nowhere, and is new": {nil, "nothing was compared"},
	} {
		err := (&trying{name: "family", report: trial.Report{Uses: c.uses}}).failure()
		if (err == nil) != (c.want == "") || err != nil && !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}
