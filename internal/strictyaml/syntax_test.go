package strictyaml

import (
	"strings"
	"testing"
)

// What is no YAML is told with its place and a mend, in words about the file and not about the states of a parser.
func TestSyntax(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"text: [1, 2\nflag: true\n", "2:5: not YAML: the list that begins with [ in line 1 has no end, or lacks a comma before this place; write , between"},
		{"deep: {a: 1\nflag: true\n", "2:5: not YAML: the section that begins with { in line 1 has no end, or lacks a comma before this place; write , between"},
		{"text: 1\n flag: 2\n", `2:6: not YAML: there is a ": " where no key can be; look at the indentation`},
		{"deep:\n  a: 1\n b: 2\n", "3:2: not YAML: this is no key of the section that begins in line 1, and of none around it; begin the keys"},
		{"deep:\n\ta: 1\n", "2:1: not YAML: no value can begin with this character; indent with spaces"},
		{"- a\nb: 1\n", "2:1: not YAML: this is no entry of the list that begins in line 1, and no key of a section around it; begin each entry"},
		{"text: \"x\nb: 1\n", "3:1: not YAML: the text in quotes that begins in line 1 has no end; write the quote"},
		{"text: \"x\n---\nb: 1\n", "2:1: not YAML: the text in quotes that begins in line 1 has no end before a line with --- or ...; write the quote"},
		{"text: @x\n", "1:7: not YAML: no value can begin with this character; put the value in quotes"},
		{"text: *x\n", "1:7: aliases (*name) are not allowed; write the value out"},
		{"text: &\n", "1:8: anchors (&name) are not allowed; write the value out"},
		{"text: \"\\q\"\n", `1:8: not YAML: the text in double quotes that begins in line 1 has a backslash that stands for nothing; write \\ for a backslash`},
		{"text: |x\n", "1:8: not YAML: something follows the | or > that begins a text of several lines; write | alone"},
		{"text: }\n", "1:7: not YAML: a value is missing before this place; write one"},
		{"text: [1,,2]\n", "1:10: not YAML: a value is missing before this place; write one"},
		{"text: [", "2:1: not YAML: the text ends where a value or a closing bracket is missing; write what is missing"},
		{"%YAML 3.0\n---\ntext: 1\n", "1:1: directives (a line that begins with %) are not allowed; remove the line"},
		{"text: !<x\n", "1:10: tags (!name) are not allowed; quote a value"},
		{"text: - b\n", `1:7: not YAML: there is a "- " where no entry of a list can be; begin the list`},
		{"flag: true\ntext: ä\x01\n", "2:8: not YAML: an octet here is no UTF-8 text, or a control character; write the file"},
		{"flag: true\ntext: ä\xff\n", "2:8: not YAML: an octet here is no UTF-8 text, or a control character; write the file"},
		{"text: " + strings.Repeat("[", MaxDepth+1), "1:39: not YAML: sections and lists lie in one another more than 32 deep; no setting"},
	} {
		s := defaults()
		_, err := Decode("f.yaml", []byte(c.text), &s)
		if err == nil {
			t.Errorf("%q: no error", c.text)
			continue
		}
		if got := strings.Replace(err.Error(), "\n\thint: ", "; ", 1); !strings.HasPrefix(got, "f.yaml:"+c.want) {
			t.Errorf("%q:\n%s\nwant\nf.yaml:%s", c.text, got, c.want)
		}
	}
}
