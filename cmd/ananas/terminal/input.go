package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Asks tells whether somebody can be asked: what is written to w is seen, and what is typed comes from r.
func Asks(r io.Reader, w io.Writer) bool { return isTerminal(r) && isTerminal(w) }

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
