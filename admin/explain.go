package admin

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"

	"github.com/ananas-edge/ananas/dns"
)

// explain streams the story of one resolution as lines of JSON: an Event each as it happens, then one explainEnd. Until the
// first event an error is a plain problem; after it, it is the last line.
func (s *Server) explain(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Explain == nil {
		return problemMissing.with("explain", "")
	}
	request, depth, p := explainParams(r)
	if p != nil {
		return p
	}
	leave, p := s.enter(s.explains, "explains")
	if p != nil {
		return p
	}
	defer leave()
	ctx, cancel := context.WithTimeout(r.Context(), explainTimeout)
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()

	story := &story{lines: newLineWriter(w), depth: depth, depths: map[int]int{}}
	defer story.close() // should it panic
	answer, err := s.config.Explain.Explain(ctx, request, story.tell)
	if story.close() > 0 {
		s.metrics.limits.With("explain_events").Inc()
	}
	if err != nil {
		p := failure(problemUnexplained, ctx, err)
		if s.closing.Err() != nil {
			p = problemUnexplained.with("the node is stopping", "")
		}
		if !story.lines.begun {
			return p
		}
		story.end(explainEnd{Problem: p})
		return nil
	}
	for _, list := range []*[]string{&answer.Answer, &answer.Authority} {
		if *list == nil {
			*list = []string{}
		}
	}
	if answer.Errors == nil {
		answer.Errors = []EDE{}
	}
	story.end(explainEnd{Answer: &answer})
	return nil
}

func explainParams(r *http.Request) (request ExplainRequest, depth int, p *Problem) {
	q := r.URL.Query()
	if !q.Has("name") {
		return request, 0, problemParameter.with("name is missing", "give the name to resolve, as in ?name=www.example.com&type=AAAA")
	}
	if request.Name, p = nameParam(q.Get("name")); p != nil {
		return request, 0, p
	}
	request.Type = dns.TypeA
	if q.Has("type") {
		t, err := dns.ParseType(q.Get("type"))
		if err != nil {
			return request, 0, problemParameter.with(err.Error(), "a type is written as AAAA or TYPE28")
		}
		request.Type = t
	}
	if request.Fresh, p = boolParam(q, "fresh"); p != nil {
		return request, 0, p
	}
	if q.Has("client") {
		if request.Client, p = addressParam(q.Get("client")); p != nil {
			return request, 0, p
		}
	}
	depth, p = intParam(q, "depth", MaxExplainDepth, 1, MaxExplainDepth)
	return request, depth, p
}

// ParseAddress reads the address of a client. An IPv4 address that is written as one of IPv6 is that IPv4 address.
func ParseAddress(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, addressError(text)
	}
	return a.Unmap(), nil
}

// addressError is a text that is no address.
type addressError string

func (e addressError) Error() string { return quote(string(e)) + " is no address of a client" }

// Hint says what to do.
func (addressError) Hint() string { return "a client is written as 192.0.2.7 or 2001:db8::7" }

func addressParam(text string) (netip.Addr, *Problem) {
	a, err := ParseAddress(text)
	if err != nil {
		return a, problemParameter.with(err.Error(), addressError(text).Hint())
	}
	return a, nil
}

var errStoryOver = errors.New("the explain has ended")

// story writes the lines of one explain. Events come from any goroutine.
type story struct {
	depth int // of events that are told; 1: only those without a parent

	mu      sync.Mutex
	lines   lineWriter
	depths  map[int]int // of the events told so far, by Seq
	told    int
	dropped int
	over    bool
}

// tell writes one event, if it is not too deep and not one too many. It waits for a slow reader at most writeTimeout.
func (t *story) tell(e Event) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return errStoryOver
	}
	if t.lines.err != nil {
		return t.lines.err
	}
	depth := 1
	if e.Parent != 0 {
		above, ok := t.depths[e.Parent]
		if !ok { // its parent was left out
			if t.told == MaxExplainEvents {
				t.dropped++
			}
			return nil
		}
		depth = above + 1
	}
	if depth > t.depth {
		return nil
	}
	if t.told == MaxExplainEvents {
		t.dropped++
		return nil
	}
	t.told++
	t.depths[e.Seq] = depth
	return t.lines.write(e)
}

// close refuses events from now on, and returns how many were too many.
func (t *story) close() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	return t.dropped
}

// end writes the last line. It comes after close.
func (t *story) end(e explainEnd) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.Dropped = t.dropped
	t.lines.write(e)
}
