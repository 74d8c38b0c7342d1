package cases_test

import (
	"os"
	"testing"

	"github.com/ananas-edge/ananas/nameserver/plugin/cases"
)

// Whatever a file says: reading it ends, and what is read and written anew is the same.
func FuzzParse(f *testing.F) {
	text, err := os.ReadFile("testdata/acts/cases.txt")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add("query a. A\n-> records ttl=1 ede=\"15 \\x00\" tag=x bypass\n    a. 1 IN TXT \"\\\"\"\n")
	f.Add("logged a. A NXDOMAIN took=1ms tag=\"x y\"\n-> done\n    count \"a b\" 2\n    observe x 1 0\n    log warn \"\\\"\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := cases.Parse("file", text)
		if err != nil {
			return
		}
		got := make([]cases.Outcome, len(file.Cases))
		for k, c := range file.Cases {
			got[k] = c.Want
		}
		if out := file.Updated(got); out != text {
			t.Fatalf("nothing was wrong, and the file is\n%q\n%q", out, text)
		}
		for k, c := range file.Cases {
			written := "query a. A\n-> " + c.Want.String() + "\n"
			if c.Want.Seen != nil {
				written = "logged a. A\n-> " + c.Want.String() + "\n"
			}
			again, err := cases.Parse("again", written)
			if err != nil {
				t.Fatalf("case %d is written %q: %v", k, written, err)
			}
			if d := cases.Difference(c.Want, again.Cases[0].Want); d != "" {
				t.Fatalf("case %d is written %q:\n%s", k, written, d)
			}
		}
	})
}
