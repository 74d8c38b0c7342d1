package scenarios

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/lab"
)

// scenario is one file: a world, settings and steps. README.md describes the language.
type scenario struct {
	file  string
	world *lab.World
	parts map[string]part // all others: settings, and files that settings or steps name
	steps []*step
}

// part is what stands between two marker lines, "-- name --".
type part struct {
	line int // of the marker
	text string
}

// step is one line of the steps, and the indented lines below it.
type step struct {
	file string
	line int
	verb string
	args []string
	want []want
	run  func(*play)
}

// want is one indented line: what the step above it must have led to.
type want struct {
	line  int
	text  string
	words []string
}

// placeError is an error with its place, as compilers write it.
type placeError struct {
	file string
	line int
	err  error
}

func (e *placeError) Error() string { return fmt.Sprintf("%s:%d: %v", e.file, e.line, e.err) }
func (e *placeError) Unwrap() error { return e.err }

// placed gives an error its place, unless what caused it has one.
func placed(file string, line int, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	var known *placeError
	if errors.As(err, &known) {
		return known
	}
	return &placeError{file, line, err}
}

func (s *step) errorf(format string, args ...any) error {
	return placed(s.file, s.line, format, args...)
}

// load reads a scenario file.
func load(file string) (*scenario, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parse(filepath.Base(file), string(text))
}

// parse reads the text of a scenario.
func parse(file, text string) (*scenario, error) {
	s := &scenario{file: file, parts: map[string]part{}}
	lines := strings.Split(text, "\n")
	begin := 0
	name := "" // of the part that is being read; before the first marker is what people read
	end := func(i int) error {
		if name == "" {
			if strings.TrimSpace(strings.Join(lines[:i], "")) == "" {
				return placed(file, 1, "the file begins with no words on what it shows")
			}
			return nil
		}
		if _, twice := s.parts[name]; twice {
			return placed(file, begin+1, "a second part %q", name)
		}
		s.parts[name] = part{begin + 1, strings.Join(lines[begin+1:i], "\n")}
		return nil
	}
	for i, line := range lines {
		inner, ok := strings.CutPrefix(line, "-- ")
		if !ok || !strings.HasSuffix(inner, " --") {
			continue
		}
		if err := end(i); err != nil {
			return nil, err
		}
		name, begin = strings.TrimSuffix(inner, " --"), i
	}
	if err := end(len(lines)); err != nil {
		return nil, err
	}
	if err := s.parseWorld(); err != nil {
		return nil, err
	}
	return s, s.parseSteps()
}

// parseWorld reads the part "world". Empty lines in front make its line numbers those of the file.
func (s *scenario) parseWorld() (err error) {
	p, ok := s.parts["world"]
	if !ok {
		return placed(s.file, 1, "no part %q: which zones are there?", "world")
	}
	delete(s.parts, "world")
	if s.world, err = lab.ParseWorld(strings.Repeat("\n", p.line) + p.text); err == nil {
		return nil
	}
	if e, ok := err.(*lab.ParseError); ok {
		return placed(s.file, e.Line, "%w", e.Err)
	}
	return placed(s.file, p.line, "%w", err)
}

func (s *scenario) parseSteps() error {
	p, ok := s.parts["steps"]
	if !ok {
		return placed(s.file, 1, "no part %q: what is asked?", "steps")
	}
	delete(s.parts, "steps")
	for i, text := range strings.Split(p.text, "\n") {
		line := p.line + 1 + i
		indented := strings.TrimLeft(text, " \t") != text
		words, err := split(text)
		switch {
		case err != nil:
			return placed(s.file, line, "%w", err)
		case len(words) == 0:
		case indented && len(s.steps) == 0:
			return placed(s.file, line, "an expectation stands before the first step")
		case indented:
			last := s.steps[len(s.steps)-1]
			last.want = append(last.want, want{line, strings.TrimSpace(text), words})
		default:
			s.steps = append(s.steps, &step{file: s.file, line: line, verb: words[0], args: words[1:]})
		}
	}
	for _, st := range s.steps {
		if err := st.compile(s); err != nil {
			return err
		}
	}
	return nil
}

// split cuts a line into words. A word may be in double quotes; # begins a comment.
func split(line string) ([]string, error) {
	var words []string
	for {
		line = strings.TrimLeft(line, " \t")
		if line == "" || line[0] == '#' {
			return words, nil
		}
		if line[0] != '"' {
			end := strings.IndexAny(line, " \t")
			if end < 0 {
				end = len(line)
			}
			words = append(words, line[:end])
			line = line[end:]
			continue
		}
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			return nil, fmt.Errorf("a quote is not closed")
		}
		word, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, err
		}
		words = append(words, word)
		line = line[len(quoted):]
	}
}

// comparison is "N", "= N", "<= N", ">= N", "< N" or "> N".
type comparison struct {
	op string
	n  float64
}

func parseComparison(words []string) (c comparison, err error) {
	c.op = "="
	if len(words) == 2 {
		c.op, words = words[0], words[1:]
	}
	if len(words) != 1 {
		return c, fmt.Errorf("%q is no comparison such as 3, <= 3 or >= 1", strings.Join(words, " "))
	}
	if c.n, err = strconv.ParseFloat(words[0], 64); err != nil {
		return c, fmt.Errorf("%q is no number", words[0])
	}
	switch c.op {
	case "=", "<=", ">=", "<", ">":
		return c, nil
	}
	return c, fmt.Errorf("%q is none of = <= >= < >", c.op)
}

func (c comparison) holds(n float64) bool {
	switch c.op {
	case "<=":
		return n <= c.n
	case ">=":
		return n >= c.n
	case "<":
		return n < c.n
	case ">":
		return n > c.n
	}
	return n == c.n
}

func (c comparison) String() string { return fmt.Sprintf("%s %v", c.op, c.n) }

func parseDuration(words []string) (time.Duration, error) {
	if len(words) != 1 {
		return 0, fmt.Errorf("one duration is wanted, such as 1.8s or 10m")
	}
	d, err := time.ParseDuration(words[0])
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no duration such as 1.8s or 10m", words[0])
	}
	return d, nil
}
