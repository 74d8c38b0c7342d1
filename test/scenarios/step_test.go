package scenarios

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/lab"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// verbs are all steps. Each reads the step's words, says what is wrong with them, and sets what the step does.
var verbs = map[string]func(*step, *scenario) error{
	"ask":        (*step).compileAsk,
	"explain":    (*step).compileExplain,
	"wait":       (*step).compileWait,
	"advance":    (*step).compileAdvance,
	"clock":      (*step).compileClock,
	"asked":      (*step).compileAsked,
	"questions":  (*step).compileQuestions,
	"ports":      (*step).compilePorts,
	"forget":     (*step).compileForget,
	"metric":     (*step).compileMetric,
	"purge":      (*step).compilePurge,
	"reload":     (*step).compileReload,
	"file":       (*step).compileFile,
	"redirect":   (*step).compileRedirect,
	"unroutable": (*step).compileUnroutable,
}

// takesLines are the verbs with expectations below them.
var takesLines = []string{"ask", "explain", "purge"}

func (s *step) compile(sc *scenario) error {
	f, ok := verbs[s.verb]
	if !ok {
		return s.errorf("unknown step %q", s.verb)
	}
	if len(s.want) > 0 && !slices.Contains(takesLines, s.verb) {
		return placed(s.file, s.want[0].line, "%q takes no lines below it", s.verb)
	}
	if err := f(s, sc); err != nil {
		return s.errorf("%s: %w", s.verb, err)
	}
	return nil
}

// compileAdvance reads "advance DURATION": time goes on.
func (s *step) compileAdvance(*scenario) error {
	d, err := parseDuration(s.args)
	s.run = func(*play) { time.Sleep(d) }
	return err
}

// compileClock reads "clock DURATION": the wall clock shows the right time and that, which may be negative.
func (s *step) compileClock(*scenario) error {
	if len(s.args) != 1 {
		return fmt.Errorf("takes a duration")
	}
	d, err := time.ParseDuration(s.args[0])
	s.run = func(p *play) { p.wrong.Store(int64(d)) }
	return err
}

// compileWait reads "wait": all clients begun with & get their answers.
func (s *step) compileWait(*scenario) error {
	if len(s.args) > 0 {
		return fmt.Errorf("takes nothing")
	}
	s.run = func(p *play) { p.wait() }
	return nil
}

// compileForget reads "forget": the counts of asked, questions and ports begin anew.
func (s *step) compileForget(*scenario) error {
	if len(s.args) > 0 {
		return fmt.Errorf("takes nothing")
	}
	s.run = func(p *play) {
		synctest.Wait()
		p.lab.Forget()
	}
	return nil
}

// filter selects questions that reached the lab's servers.
type filter struct {
	servers []netip.Addr
	flags   []string
	within  dns.Name
}

var filterFlags = map[string]func(lab.Question) bool{
	"+tcp":    func(q lab.Question) bool { return q.TCP },
	"+udp":    func(q lab.Question) bool { return !q.TCP },
	"+edns":   func(q lab.Question) bool { return q.EDNS },
	"+noedns": func(q lab.Question) bool { return !q.EDNS },
	"+do":     func(q lab.Question) bool { return q.DO },
	"+co":     func(q lab.Question) bool { return q.CO },
	"+mixed":  func(q lab.Question) bool { return q.Name != q.Name.Lower() },
	"+lower":  func(q lab.Question) bool { return q.Name == q.Name.Lower() },
	"+ipv6":   func(q lab.Question) bool { return q.Server.Is6() },
	"+ipv4":   func(q lab.Question) bool { return q.Server.Is4() },
}

// parseFilter takes what is a filter out of the words and returns the others.
func parseFilter(words []string) (f filter, rest []string, err error) {
	for _, w := range words {
		value, isOf := strings.CutPrefix(w, "of=")
		zone, isBelow := strings.CutPrefix(w, "below=")
		switch {
		case isOf:
			for _, one := range strings.Split(value, ",") {
				a, err := netip.ParseAddr(one)
				if err != nil {
					return f, nil, err
				}
				f.servers = append(f.servers, a)
			}
		case isBelow:
			if f.within, err = dns.ParseName(zone); err != nil {
				return f, nil, err
			}
		case strings.HasPrefix(w, "+"):
			if filterFlags[w] == nil {
				return f, nil, fmt.Errorf("unknown filter %q", w)
			}
			f.flags = append(f.flags, w)
		default:
			rest = append(rest, w)
		}
	}
	return f, rest, nil
}

func (f *filter) matches(q lab.Question) bool {
	if len(f.servers) > 0 && !slices.Contains(f.servers, q.Server) || !f.within.IsZero() && !q.Name.IsWithin(f.within) {
		return false
	}
	return !slices.ContainsFunc(f.flags, func(name string) bool { return !filterFlags[name](q) })
}

// counted runs a step that compares a number of questions.
func (s *step) counted(f filter, also func(lab.Question) bool, c comparison) func(*play) {
	return func(p *play) {
		synctest.Wait()
		n := 0
		for _, q := range p.lab.Questions() {
			if f.matches(q) && also(q) {
				n++
			}
		}
		if !c.holds(float64(n)) {
			p.fail(s.line, "%d questions were asked, not %v", n, c)
		}
	}
}

// compileAsked reads "asked NAME TYPE [FILTER...] COMPARISON".
func (s *step) compileAsked(*scenario) error {
	f, rest, err := parseFilter(s.args)
	if err != nil {
		return err
	}
	if len(rest) < 3 {
		return fmt.Errorf("takes a name, a type and a number")
	}
	name, err := dns.ParseName(rest[0])
	if err != nil {
		return err
	}
	typ, err := dns.ParseType(rest[1])
	if err != nil {
		return err
	}
	c, err := parseComparison(rest[2:])
	s.run = s.counted(f, func(q lab.Question) bool { return q.Type == typ && q.Name.Equal(name) }, c)
	return err
}

// compileQuestions reads "questions [FILTER...] COMPARISON".
func (s *step) compileQuestions(*scenario) error {
	f, rest, err := parseFilter(s.args)
	if err != nil {
		return err
	}
	c, err := parseComparison(rest)
	s.run = s.counted(f, func(lab.Question) bool { return true }, c)
	return err
}

// compilePorts reads "ports [FILTER...] COMPARISON": from how many ports the questions came.
func (s *step) compilePorts(*scenario) error {
	f, rest, err := parseFilter(s.args)
	if err != nil {
		return err
	}
	c, err := parseComparison(rest)
	s.run = func(p *play) {
		synctest.Wait()
		ports := map[netip.AddrPort]bool{}
		for _, q := range p.lab.Questions() {
			if f.matches(q) {
				ports[q.Client] = true
			}
		}
		if !c.holds(float64(len(ports))) {
			p.fail(s.line, "the questions came from %d ports, not %v", len(ports), c)
		}
	}
	return err
}

// compileMetric reads "metric NAME COMPARISON"; the name with its labels, as /metrics has it.
func (s *step) compileMetric(*scenario) error {
	if len(s.args) < 2 {
		return fmt.Errorf("takes a name and a number")
	}
	name := s.args[0]
	c, err := parseComparison(s.args[1:])
	s.run = func(p *play) {
		synctest.Wait()
		v, ok := p.metric(name)
		if !ok && strings.Contains(name, "{") {
			_, ok = p.metric(name[:strings.Index(name, "{")]) // a label that never came up counts 0
		}
		if !ok {
			p.fail(s.line, "there is no metric %s", name)
		} else if !c.holds(v) {
			p.fail(s.line, "%s is %v, not %v", name, v, c)
		}
	}
	return err
}

// compilePurge reads "purge NAME [subtree]", with "removed COMPARISON" below it.
func (s *step) compilePurge(*scenario) error {
	if len(s.args) < 1 || len(s.args) > 2 || len(s.args) == 2 && s.args[1] != "subtree" {
		return fmt.Errorf("takes a name, and perhaps the word subtree")
	}
	name, err := dns.ParseName(s.args[0])
	if err != nil {
		return err
	}
	removed := comparison{">=", 0}
	line := s.line
	for _, w := range s.want {
		if w.words[0] != "removed" {
			return fmt.Errorf("%q is not \"removed NUMBER\"", w.text)
		}
		if removed, err = parseComparison(w.words[1:]); err != nil {
			return err
		}
		line = w.line
	}
	s.run = func(p *play) {
		report, failures, err := p.resolver.Purge(name, len(s.args) == 2)
		if err != nil {
			p.fail(s.line, "%v", err)
		}
		if n := report.RRsets + report.Denials + failures; !removed.holds(float64(n)) {
			p.fail(line, "%d entries were removed, not %v", n, removed)
		}
	}
	return nil
}

// compileReload reads "reload PART": the settings become those of another part of the file.
func (s *step) compileReload(sc *scenario) error {
	if len(s.args) != 1 {
		return fmt.Errorf("takes the name of a part")
	}
	if _, ok := sc.parts[s.args[0]]; !ok {
		return fmt.Errorf("no part %q", s.args[0])
	}
	s.run = func(p *play) {
		tables, err := p.compile(s.args[0])
		if err != nil {
			p.fatal(err)
		}
		p.cache.SetTable(tables.Cache)
		moved := p.server.Table().Recursion.Moved(tables.Nameserver.Recursion)
		p.server.Swap(tables.Nameserver)
		for _, zone := range moved { // as package node does
			if _, _, err := p.resolver.Purge(zone, true); err != nil {
				p.fatal(err)
			}
		}
		p.configureLocalRoot()
	}
	return nil
}

// compileFile reads "file NAME PART": the file that settings name holds what that part holds from now on.
func (s *step) compileFile(sc *scenario) error {
	if len(s.args) != 2 {
		return fmt.Errorf("takes the name of a file, and that of a part")
	}
	part, ok := sc.parts[s.args[1]]
	if !ok {
		return fmt.Errorf("no part %q", s.args[1])
	}
	s.run = func(p *play) {
		if err := os.WriteFile(filepath.Join(p.folder, filepath.Base(s.args[0])), []byte(part.text), 0o600); err != nil {
			p.fatal(err)
		}
	}
	return nil
}

// compileRedirect reads "redirect ADDRESS:PORT ADDRESS": whoever asks the first reaches the lab's server at the second, which listens
// on port 53 only.
func (s *step) compileRedirect(*scenario) error {
	if len(s.args) != 2 {
		return fmt.Errorf("takes an address with a port, and an address")
	}
	from, err := netip.ParseAddrPort(s.args[0])
	if err != nil {
		return err
	}
	to, err := netip.ParseAddr(s.args[1])
	s.run = func(p *play) { p.network.redirect(from, netip.AddrPortFrom(to, 53)) }
	return err
}

// compileUnroutable reads "unroutable ipv4|ipv6|none": the machine has no route for that family from now on.
func (s *step) compileUnroutable(*scenario) error {
	if len(s.args) != 1 || !slices.Contains([]string{"ipv4", "ipv6", "none"}, s.args[0]) {
		return fmt.Errorf("takes one of ipv4, ipv6 and none")
	}
	s.run = func(p *play) { p.network.setUnroutable(s.args[0]) }
	return nil
}

// compileExplain reads "explain NAME TYPE [fresh]": what the command of that name shows. Below it stand "event KIND TEXT" and "no
// event KIND TEXT".
func (s *step) compileExplain(*scenario) error {
	if len(s.args) < 2 || len(s.args) > 3 || len(s.args) == 3 && s.args[2] != "fresh" {
		return fmt.Errorf("takes a name, a type, and perhaps the word fresh")
	}
	q := dns.Question{Class: dns.ClassINET}
	var err error
	if q.Name, err = dns.ParseName(s.args[0]); err != nil {
		return err
	}
	if q.Type, err = dns.ParseType(s.args[1]); err != nil {
		return err
	}
	if len(s.want) == 0 {
		return fmt.Errorf("nothing is expected of it")
	}
	for _, w := range s.want {
		rest := w.words
		if rest[0] == "no" {
			rest = rest[1:]
		}
		if len(rest) != 3 || rest[0] != "event" {
			return fmt.Errorf("%q is not: [no] event KIND \"TEXT\"", w.text)
		}
	}
	s.run = func(p *play) { p.explain(s, q) }
	return nil
}

func (p *play) explain(s *step, q dns.Question) {
	var events []recurse.Event
	trace := recurse.NewTrace(p.clock.Boot, func(e recurse.Event) { events = append(events, e) })
	o := recurse.Opts{Table: p.server.Table().Recursion, Stale: true, Trace: trace}
	if len(s.args) == 3 {
		o.Fresh, o.Stale = recurse.FreshAll, false
	}
	_, _ = p.resolver.Resolve(p.ctx, q, o) // the events say what came of it
	trace.Close()
	for _, w := range s.want {
		no := w.words[0] == "no"
		kind, text := w.words[len(w.words)-2], w.words[len(w.words)-1]
		found := slices.ContainsFunc(events, func(e recurse.Event) bool {
			return string(e.Kind) == kind && strings.Contains(e.Text, text)
		})
		if found == no {
			var b strings.Builder
			for _, e := range events {
				fmt.Fprintf(&b, "\t%8v %-10s %s\n", e.At, e.Kind, strings.ReplaceAll(e.Text, "\n", "; "))
			}
			p.fail(w.line, "%s: the events were\n%s", w.text, b.String())
		}
	}
}
