package docs

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// varying is what differs from run to run, and how both the document and the output are changed before they are compared. The
// rest must be the same, character by character; a line of three dots stands for any number of lines.
var varying = []struct {
	what    string
	find    *regexp.Regexp
	replace string
}{
	{"the time of a step in an explain", regexp.MustCompile(`^ *\d+\.\d  `), "T  "},
	{"durations", regexp.MustCompile(`\b\d+(\.\d+)? ?(h|min|s|ms|µs|us)\b`), "N ms"},
	{"durations in JSON", regexp.MustCompile(`(at_us|duration_us)":\d+`), "$1\":N"},
	{"a TTL that runs down: of dig, and of an explain", regexp.MustCompile(`(\.(?:\t+|  ))\d+((?:\t|  )IN(?:\t|  ))`), "${1}TTL$2"},
	{"the same in JSON", regexp.MustCompile(`(\.\\t)\d+(\\tIN\\t)`), "${1}TTL$2"},
	{"a TTL in the list of the cache", regexp.MustCompile(`^(\S+\. +[A-Z0-9]+) +\d+  `), "$1 TTL  "},
	{"which server of a zone with several is asked, and why, is drawn by lot",
		regexp.MustCompile(`ask     [a-z]\.(root-servers|gtld-servers|iana-servers)\.net\. \([0-9a-f.:]+\) over UDP: .*`), "ask     ${1} over UDP"},
	{"the root's servers are learned beside the first question", regexp.MustCompile(`zone \., 13 name servers, from (root hints|delegation)`), "zone ., 13 name servers"},
	{"the id of a message", regexp.MustCompile(`, id: \d+`), ", id: N"},
	{"what a call of a module costs", regexp.MustCompile(`\(\d+ fuel, `), "(N fuel, "},
	{"when a signature ends", regexp.MustCompile(`\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "TIME"},
	{"until when a token can be used", regexp.MustCompile(`\b20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC`), "TIME"},
	{"what a probe is held against is what was there in time", regexp.MustCompile(`, against a pass \(.*\)`), ""},
	{"which node is the canary", regexp.MustCompile(`(passed:|node:|fails at) lis0\d\b`), "$1 lis0N"},
	{"questions that were lost are asked again", regexp.MustCompile(`\b\d+ questions? to name servers`), "N questions to name servers"},
}

func steady(line string) string {
	for _, v := range varying {
		line = v.find.ReplaceAllString(line, v.replace)
	}
	return strings.TrimRight(line, " ")
}

// compare says where the output differs from what is written; "" if it does not.
func compare(written, output string) string {
	want, got := split(written), split(output)
	i := 0
	for n := 0; n < len(want); n++ {
		if want[n] == "..." {
			if n+1 == len(want) {
				return ""
			}
			for i < len(got) && steady(got[i]) != steady(want[n+1]) {
				i++
			}
			continue
		}
		if i == len(got) {
			return fmt.Sprintf("the output ends before the line\n\t%s", want[n])
		}
		if steady(got[i]) != steady(want[n]) {
			return fmt.Sprintf("written is\n\t%s\nand the output is\n\t%s", want[n], got[i])
		}
		i++
	}
	if i < len(got) {
		return fmt.Sprintf("the output goes on with\n\t%s", got[i])
	}
	return ""
}

func split(text string) []string {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		written, output string
		same            bool
	}{
		{"", "", true},
		{"a\n", "a\n", true},
		{"a\n", "b\n", false},
		{"a\n", "a\nb\n", false},
		{"a\nb\n", "a\n", false},
		{"a\n...\n", "a\nb\nc\n", true},
		{"...\nc\n", "a\nb\nc\n", true},
		{"...\nd\n", "a\nb\nc\n", false},
		{"a\n...\nc\n", "a\nc\n", true},
		{"     0.1  ├─ job     x\n", "  1234.5  ├─ job     x\n", true},
		{"     0.1  ├─ job     x\n", "     0.1  ├─ job     y\n", false},
		{"NOERROR in 20.3 ms: answer\n", "NOERROR in 1.0 ms: answer\n", true},
		{"no reply in 301ms\n", "no reply in 1.2s\n", true},
		{"www.example.com.\t300\tIN\tA\t192.0.2.1\n", "www.example.com.\t299\tIN\tA\t192.0.2.1\n", true},
		{"www.example.com.\t300\tIN\tA\t192.0.2.1\n", "www.example.com.\t300\tIN\tA\t192.0.2.2\n", false},
		{"ask     a.root-servers.net. (198.41.0.4) over UDP: never asked before\n", "ask     k.root-servers.net. (2001:7fd::1) over UDP: explored\n", true},
		{"ask     a.root-servers.net. (198.41.0.4) over UDP: x\n", "ask     a.gtld-servers.net. (192.5.6.30) over UDP: x\n", false},
		{"ask     ns1.shop.example. (192.0.2.1) over UDP: x\n", "ask     ns1.shop.example. (192.0.2.2) over UDP: x\n", false},
		{"www.example.com.  A  300  rrset\n", "www.example.com.  A   99  rrset\n", true},
	} {
		if got := compare(c.written, c.output); (got == "") != c.same {
			t.Errorf("%q and %q: %q", c.written, c.output, got)
		}
	}
}
