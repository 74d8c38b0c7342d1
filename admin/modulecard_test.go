package admin

import (
	"fmt"
	"strings"
	"testing"
)

// The page tells of each module what it is, where it runs, what it has said and what it takes; and of the data sets that they ask.
func TestPageShowsModules(t *testing.T) {
	b := newBench(t)
	page := b.do(b.request("GET", "/", "")).Body.String()
	for _, want := range []string{
		"<h2>Modules", `family <span class="soft">1.4.0, <code>00</code></span>`, ">runs, kept<", `<span class="bad">taken out</span>`, ">off<", ">stale<", ">runs nowhere<",
		"1,234 NXDOMAIN, 7 address", `aria-label="7 verdicts in the last 10 minutes, at most 4 in 10 s"`, `y="25"`, `height="75"`, `<span class="bad">1</span>`, "400 of 50,000", "- of 50,000",
		`class="bad">it has failed &lt;often&gt;`, "not granted: data/adult",
		"<h3 class=\"apart\">Data sets", "<td>malware<td class=\"told\" data-what=\"asked by\">family<td>hosts<td class=\"share\" data-what=\"entries\">1,000,001<td class=\"share\" data-what=\"size\">20 MiB<td class=\"share\" data-what=\"version\"><code>12345678</code>\n      <tr><td colspan=\"6\" class=\"warn\">data set &lt;malware&gt; has no entries",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, not := range []string{"style=", "<script", "ZgotmplZ"} {
		if strings.Contains(page, not) {
			t.Errorf("the page has %q", not)
		}
	}
	if t.Failed() {
		t.Log(page)
	}
}

// A chart fits its frame, its highest bar fills it, and what is least is seen still.
func TestBars(t *testing.T) {
	if bars(nil) != nil || bars(make([]uint64, ModuleSpans)) != nil {
		t.Error("of nothing there is a chart")
	}
	got := bars([]uint64{0, 1, 1_000_000, 0})
	if want := "[{25 96 20 4} {50 0 20 100}]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	rows := moduleRows(&Module{Name: "a", Uses: []Use{{Phase: "query", Missing: []string{"data/x"}}, {Phase: "answer", Missing: []string{"data/x", "data/y"}}}})
	if len(rows) != 2 || len(rows[0].Notes) != 0 || len(rows[1].Notes) != 1 || rows[1].Notes[0].Text != "not granted: data/x, data/y" {
		t.Errorf("%+v", rows)
	}
}
