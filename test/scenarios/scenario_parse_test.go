package scenarios

import (
	"strings"
	"testing"

	miekg "github.com/miekg/dns"
)

// TestErrorsHavePlaces holds what a writer of scenarios is told, with the line of the file.
func TestErrorsHavePlaces(t *testing.T) {
	const head = "words\n-- world --\n[zone com servers=192.0.2.1]\n-- steps --\n" // steps begin on line 5
	for text, want := range map[string]string{
		"-- world --\n":                                  "x.scn:1: the file begins with no words on what it shows",
		"words\n-- steps --\n":                           `x.scn:1: no part "world": which zones are there?`,
		"words\n-- world --\n":                           `x.scn:1: no part "steps": what is asked?`,
		"words\n-- a --\n-- a --\n":                      `x.scn:3: a second part "a"`,
		"words\n-- world --\n\n[zone com]":               `x.scn:4: zone "com." has neither NS records nor servers=ADDRESS,...: nobody serves it`,
		head + "\tNOERROR\n":                             "x.scn:5: an expectation stands before the first step",
		head + "frob\n":                                  `x.scn:5: unknown step "frob"`,
		head + "\nask com\n":                             "x.scn:6: ask: takes a name and a type",
		head + "ask com A\n":                             "x.scn:5: no line says which response code is expected; any will do with the word any",
		head + "ask com A\n\tNOEROR\n":                   `x.scn:6: "NOEROR": neither answer, authority, additional, records, ede, option, size, within, after, dropped, any nor one response code`,
		head + "ask com A\n\tNOERROR rd\n":               `x.scn:6: "NOERROR rd": "rd" is none of [aa tc ad cd]`,
		head + "ask com A +frob\n\tany\n":                "x.scn:5: ask: +frob: unknown; see README.md",
		head + "ask com A\n\tany\n\tanswer com. A 1.2\n": `x.scn:7: "answer com. A 1.2": dns: bad A A: "1.2" at line: 1:10`,
		head + "ask com A\n\tany\n\tede x\n":             `x.scn:7: "ede x": "x" is no code`,
		head + "ask com A\n\tany\n\tno 3\n":              `x.scn:7: "no 3": not: option CODE [HEX], or: no option CODE`,
		head + "ask com A \"\n":                          "x.scn:5: a quote is not closed",
		head + "advance fast\n":                          `x.scn:5: advance: "fast" is no duration such as 1.8s or 10m`,
		head + "questions ~ 3\n":                         `x.scn:5: questions: "~" is none of = <= >= < >`,
		head + "questions +frob 3\n":                     `x.scn:5: questions: unknown filter "+frob"`,
		head + "asked com A\n":                           "x.scn:5: asked: takes a name, a type and a number",
		head + "wait\n\tNOERROR\n":                       `x.scn:6: "wait" takes no lines below it`,
		head + "reload other\n":                          `x.scn:5: reload: no part "other"`,
		head + "explain com A\n":                         "x.scn:5: explain: nothing is expected of it",
		head + "explain com A\n\tevent x\n":              `x.scn:5: explain: "event x" is not: [no] event KIND "TEXT"`,
		head + "purge com\n\tgone 3\n":                   `x.scn:5: purge: "gone 3" is not "removed NUMBER"`,
	} {
		if _, err := parse("x.scn", text); err == nil || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}

// TestWrongAnswersAreSeen holds that an answer that is not as expected is never passed.
func TestWrongAnswersAreSeen(t *testing.T) {
	const right = "NOERROR aa\nanswer a. A 192.0.2.1\nanswer a. 60 A 192.0.2.2\nanswer b. TXT \"x\"\nede 3 \"old\"\nadditional c. A 192.0.2.9\noption 15 0003746f6f206f6c64\nno option 3\nauthority none"
	m := new(miekg.Msg)
	m.Authoritative = true
	for _, text := range []string{"a. 60 A 192.0.2.2", "a. 60 A 192.0.2.1", `b. 60 TXT "x"`} {
		rr, err := miekg.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	opt := &miekg.OPT{Hdr: miekg.RR_Header{Name: ".", Rrtype: miekg.TypeOPT}}
	opt.Option = []miekg.EDNS0{&miekg.EDNS0_EDE{InfoCode: 3, ExtraText: "too old"}}
	extra, err := miekg.NewRR("c. 60 A 192.0.2.9")
	if err != nil {
		t.Fatal(err)
	}
	m.Extra = []miekg.RR{extra, opt}
	check := func(text string) []string {
		t.Helper()
		var lines []want
		for _, line := range strings.Split(text, "\n") {
			words, err := split(line)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, want{1, line, words})
		}
		e, err := parseExpectation("x.scn", 1, lines)
		if err != nil {
			t.Fatal(err)
		}
		return e.check(&result{raw: make([]byte, 100), msg: m}, 1)
	}
	if wrong := check(right); len(wrong) > 0 {
		t.Errorf("the right answer: %v", wrong)
	}
	for _, change := range [][2]string{
		{"NOERROR aa", "NOERROR"}, {"NOERROR aa", "NOERROR aa tc"}, {"NOERROR", "NXDOMAIN"}, {"NOERROR aa", "dropped"},
		{"192.0.2.1", "192.0.2.3"}, {"60 A", "61 A"}, {"answer b. TXT \"x\"\n", ""}, {`b. TXT "x"`, `b. TXT "y"`},
		{"authority none", "authority a. NS b."}, {"ede 3", "ede 4"}, {`"old"`, `"new"`}, {"ede 3 \"old\"\n", ""},
		{"answer a. A 192.0.2.1\n", "answer b. TXT \"x\"\nanswer a. A 192.0.2.1\n"}, {"authority none", "records 2"}, {"authority none", "size < 100"},
		{"authority none", "after 1s"}, {"authority none", "option 10"}, {"746f6f", "746f6e"}, {"no option 3", "no option 15"},
		{"additional c. A 192.0.2.9\n", ""}, {"192.0.2.9", "192.0.2.8"}, {"authority none", "additional d. A 192.0.2.9"},
	} {
		if wrong := check(strings.Replace(right, change[0], change[1], 1)); len(wrong) == 0 {
			t.Errorf("%q in place of %q is not seen", change[1], change[0])
		}
	}
}

// FuzzParse reads any text as a scenario: it is one, or an error says where it is not.
func FuzzParse(f *testing.F) {
	f.Add("words\n-- world --\n[zone com servers=192.0.2.1]\n-- steps --\nask www.com A +do from=192.0.2.1 &\n\tNOERROR aa\n\tanswer www.com. A 192.0.2.1\nwait\n")
	f.Add("words\n-- world --\n[zone com servers=192.0.2.1]\n-- settings --\na: b\n-- steps --\npurge com subtree\n\tremoved >= 3\nmetric a{b=\"c\"} 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := parse("x.scn", text); err != nil && !strings.HasPrefix(err.Error(), "x.scn:") {
			t.Errorf("no place: %v", err)
		}
	})
}
