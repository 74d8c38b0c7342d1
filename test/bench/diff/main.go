//go:build linux

// Command diff asks Ananas, Unbound and PowerDNS Recursor, all validating, the same 10,000 questions over the same internet, and groups what they
// answer differently. A difference counts if it is there in each of three runs with fresh processes.
//
//	go run ./test/bench/diff                       the whole comparison, about 5 minutes
//	go run ./test/bench/diff -questions 1000 -runs 1
//
// It fails if there is a class of differences that docs/DIFFERENCES.md does not explain.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/test/bench"
	"github.com/ananas-edge/ananas/test/bench/load"
)

//go:embed diff.world
var baseWorld string

const explained = "docs/DIFFERENCES.md"

type options struct {
	rig       bench.Options
	questions int
	runs      int
	rate      float64
	seed      uint64
	examples  int
}

func main() {
	o := options{rig: bench.Options{Validate: true}}
	flag.IntVar(&o.questions, "questions", 10_000, "how many questions")
	flag.IntVar(&o.runs, "runs", 3, "runs with fresh processes; a difference must be there in all")
	flag.Float64Var(&o.rate, "rate", 400, "questions a second")
	flag.Uint64Var(&o.seed, "seed", 1, "what is drawn is drawn from it")
	flag.IntVar(&o.examples, "examples", 3, "examples shown of each class")
	o.rig.Flags(flag.CommandLine)
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "error: reading arguments: %q is not expected\n", flag.Arg(0))
		os.Exit(2)
	}
	bench.Run(o.rig, func(ctx context.Context, r *bench.Rig) error { return o.run(ctx, r) })
}

// timeout of one question. Resolvers give up before.
const timeout = 15 * time.Second

func (o *options) run(ctx context.Context, r *bench.Rig) error {
	r.Progress("starting the lab")
	net, err := r.StartInternet(world(baseWorld), o.seed, false)
	if err != nil {
		return err
	}
	asked, err := questions(o.seed, o.questions, net)
	if err != nil {
		return err
	}
	contenders := append(bench.Contenders(), bench.Recursor())
	said := make([][][]string, o.runs) // by run, contender and question
	var why []string                   // ours, in the last run
	for run := range o.runs {
		for _, c := range contenders {
			answers, err := o.once(ctx, r, c, fmt.Sprintf("%s-%d", c.Name, run+1), asked)
			if err != nil {
				return err
			}
			said[run] = append(said[run], answers.said)
			if c.Name == "ananas" {
				why = answers.why
			}
		}
	}
	return o.report(r, asked, said, why)
}

// once asks one resolver everything and returns what it said.
func (o *options) once(ctx context.Context, r *bench.Rig, c bench.Contender, name string, asked []question) (*answers, error) {
	r.Progress("%s: starting", name)
	p, err := r.Start(c, name)
	if err != nil {
		return nil, err
	}
	defer p.Stop(10 * time.Second)
	report, err := load.Run(ctx, load.Plan{
		Server: bench.Address, Sources: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Keep: true, Timeout: timeout,
		At: load.Poisson(o.seed, len(asked), o.rate),
		Question: func(i int, b []byte) []byte {
			q := &asked[i]
			flags := dns.FlagRD
			if q.ad {
				flags |= dns.FlagAD
			}
			if q.cd {
				flags |= dns.FlagCD
			}
			return dns.AppendQuestion(b, 0, flags, q.Question, 4096, q.do, nil)
		},
		Progress: func(sent int) { r.Progress("%s: %d of %d questions", name, sent, len(asked)) },
	})
	if err != nil {
		return nil, err
	}
	out := &answers{make([]string, len(asked)), make([]string, len(asked))}
	for i := range report.Answers {
		out.said[i], out.why[i] = describe(&report.Answers[i])
	}
	return out, nil
}

// answers are what one resolver said to each question, and how it excused itself.
type answers struct{ said, why []string }

// describe says what an answer is: response code, AD, and the records of the answer section but for signatures, TTLs and order; and its extended errors.
func describe(a *load.Answer) (said, why string) {
	if !a.Answered() {
		return "no answer", ""
	}
	var m dns.Message
	if err := dns.Parse(a.Message, &m); err != nil {
		return "malformed", err.Error()
	}
	if m.Header.Flags&dns.FlagTC != 0 {
		return "truncated", ""
	}
	for code, data := range m.EDNS.Options.All() {
		if e, ok := dns.ParseEDE(data); ok && code == dns.OptionEDE {
			why += fmt.Sprintf(" (%v: %s)", e.Code, e.Text)
		}
	}
	head := m.RCode().String()
	if m.Header.Flags&dns.FlagAD != 0 {
		head += " ad"
	}
	var records []string
	for _, rr := range m.Sections[dns.Answer] {
		if rr.Type == dns.TypeRRSIG {
			continue
		}
		rr.TTL = 0
		records = append(records, strings.ToLower(strings.ReplaceAll(rr.String(), "\t", " ")))
	}
	slices.Sort(records)
	return head + "; " + strings.Join(records, "; "), why
}

// difference is one question that was answered differently in all runs.
type difference struct {
	question
	said []string // by contender, in the last run
	why  string
}

// class groups differences: who stands alone, in what, and about what kind of name.
func (d *difference) class() string {
	a, u, p := d.said[0], d.said[1], d.said[2]
	who := "all three differ"
	var one, other string
	switch {
	case u == p:
		who, one, other = "ananas alone", a, u
	case a == p:
		who, one, other = "unbound alone", u, a
	case a == u:
		who, one, other = "recursor alone", p, a
	default:
		one, other = a, u
	}
	what := "records"
	h1, _, _ := strings.Cut(one, "; ")
	h2, _, _ := strings.Cut(other, "; ")
	if h1 != h2 {
		what = h1 + ", not " + h2
	}
	flags := ""
	if d.cd {
		flags = ", with CD"
	}
	return fmt.Sprintf("%s: %s (%s%s)", who, what, d.kind, flags)
}

// report prints the classes, the largest first, and fails if one is not explained.
func (o *options) report(r *bench.Rig, asked []question, said [][][]string, why []string) error {
	classes := map[string][]difference{}
	same, unsteady := 0, 0
	for q := range asked {
		differs, steady := 0, true
		for run := range said {
			s := said[run]
			if s[0][q] != s[1][q] || s[0][q] != s[2][q] {
				differs++
			}
			for c := range s {
				steady = steady && s[c][q] == said[0][c][q]
			}
		}
		switch {
		case differs == 0:
			same++
		case differs < len(said) || !steady:
			unsteady++
		default:
			d := difference{question: asked[q], why: why[q]}
			for _, answers := range said[len(said)-1] {
				d.said = append(d.said, answers[q])
			}
			classes[d.class()] = append(classes[d.class()], d)
		}
	}
	text, err := os.ReadFile(explained)
	if err != nil {
		return err
	}
	var names, unexplained []string
	for name := range classes {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if n := len(classes[b]) - len(classes[a]); n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	fmt.Printf("%d questions, %d runs: %d answered alike by all, %d differ now and then, %d always\n\n| class | questions | explained |\n|---|---:|---|\n",
		len(asked), len(said), same, unsteady, len(asked)-same-unsteady)
	var all strings.Builder
	for _, name := range names {
		word := "yes"
		if !explains(string(text), name) {
			word = "no"
			unexplained = append(unexplained, name)
		}
		fmt.Printf("| %s | %d | %s |\n", name, len(classes[name]), word)
		for i, d := range classes[name] {
			line := fmt.Sprintf("%s: %v\n  ananas:   %s%s\n  unbound:  %s\n  recursor: %s\n", name, &d.question, d.said[0], d.why, d.said[1], d.said[2])
			all.WriteString(line)
			if i < o.examples && word == "no" {
				r.Say("%s", line)
			}
		}
	}
	if _, err := r.Write("differences.txt", all.String()); err != nil {
		return err
	}
	if len(unexplained) > 0 {
		return errors.New("classes that " + explained + " does not explain: " + strings.Join(unexplained, "; "))
	}
	return nil
}

// explains tells whether the document has an entry for a class: a line of code that begins as the class does.
func explains(document, class string) bool {
	for line := range strings.Lines(document) {
		if pattern, ok := strings.CutPrefix(strings.TrimSpace(line), "- `"); ok {
			if pattern, _, ok = strings.Cut(pattern, "`"); ok && matches(pattern, class) {
				return true
			}
		}
	}
	return false
}

// matches compares a class with a pattern in which * stands for anything.
func matches(pattern, class string) bool {
	parts := strings.Split(pattern, "*")
	if !strings.HasPrefix(class, parts[0]) {
		return false
	}
	rest := class[len(parts[0]):]
	for _, p := range parts[1:] {
		i := strings.Index(rest, p)
		if i < 0 {
			return false
		}
		rest = rest[i+len(p):]
	}
	return len(parts) == 1 && rest == "" || len(parts) > 1 && (parts[len(parts)-1] == "" || rest == "")
}
