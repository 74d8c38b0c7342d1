package identity

import (
	"strings"
	"testing"
)

var sampleToken = Token{Authority: Fingerprint{1, 2, 3, 31: 9}, ID: TokenID{0xab, 7: 0xcd}, Secret: Secret{5, 15: 6}}

func TestParseToken(t *testing.T) {
	good := sampleToken.Text()
	for _, c := range []struct{ name, text, err string }{
		{"as it was printed", good, ""},
		{"with white space around it and a line break in it", "  " + good[:40] + "\n    " + good[40:] + "\r\n", ""},
		{"nothing", "", "it is empty"},
		{"cut off by one", good[:len(good)-1], "it is cut off: it has 93 characters of 94"},
		{"cut off in the first words", good[:5], "it is cut off: it has 5 characters of 94"},
		{"one too many", good + "A", "it has 95 characters, more than 94"},
		{"a character changed", good[:50] + flip(good[50]) + good[51:], "its checksum does not fit"},
		{"a character of no token", good[:50] + "!" + good[51:], "it has a character that no token has"},
		{"something else", "K10a1b2c3", `it does not begin with "ananas-join-1."`},
		{"of a later release", "ananas-join-2." + good[14:], "a form that this release does not know"},
		{"endless", strings.Repeat(good, 20), "it has 1880 octets"},
	} {
		got, err := ParseToken(c.text)
		if c.err == "" {
			if err != nil || got != sampleToken {
				t.Errorf("%s: %#v, %v", c.name, got, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %q", c.name, err, c.err)
			continue
		}
		if hinted, ok := err.(interface{ Hint() string }); !ok || hinted.Hint() == "" {
			t.Errorf("%s: no hint", c.name)
		}
		if len(c.text) > 60 && strings.Contains(err.Error(), c.text[30:60]) {
			t.Errorf("%s: the error has the token: %v", c.name, err)
		}
	}
}

func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func FuzzParseToken(f *testing.F) {
	f.Add(sampleToken.Text())
	f.Add(" " + sampleToken.Text()[:30])
	f.Add("ananas-join-2.x")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := ParseToken(text)
		if err != nil {
			return
		}
		if want := strings.Join(strings.Fields(text), ""); token.Text() != want {
			t.Errorf("%q is read as %q", want, token.Text())
		}
	})
}
