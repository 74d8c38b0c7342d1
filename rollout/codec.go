package rollout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// format is the form of the document. A later one is refused: who does not know what a wave is must not say who is in it.
const format = 1

// field is a member of the document, and where it is kept.
type field struct {
	key  string
	at   any
	skip bool // it is left out
}

// fields lists the members of the document. Duration and times are text, so that a person can read what is in the store.
func (r *Rollout) fields(f *int, plan *planFields) []field {
	return []field{
		{"format", f, false},
		{"id", &r.ID, false},
		{"subject", &r.Subject, false},
		{"author", &r.Author, r.Author == ""},
		{"reason", &r.Reason, r.Reason == ""},
		{"opened", &r.Opened, false},
		{"plan", plan, false},
		{"state", &r.State, false},
		{"wave", &r.Wave, false},
		{"since", &r.Since, false},
		{"canaries", &r.Canaries, len(r.Canaries) == 0},
		{"reached", &r.Reached, r.Reached == 0},
		{"why", &r.Why, r.Why == ""},
		{"by", &r.By, r.By == ""},
		{"evidence", &r.Evidence, r.Evidence.Time.IsZero()},
		{"baseline", &r.Baseline, r.Baseline == nil},
	}
}

// planFields are the members of a plan in a document.
type planFields struct {
	Waves    []Wave `json:"waves"`
	Bake     string `json:"bake"`
	Patience string `json:"patience"`
	Silence  string `json:"silence"`
	Queries  uint64 `json:"queries"`
	Margin   Share  `json:"margin"`
	Blocked  *Share `json:"blocked,omitempty"` // documents of before it was there have none
}

// Encode returns the document as JSON, its members in the order of their names. What a later release has written into it and this one does not know is in it. Texts and
// lists that are too long are an error: who makes a rollout clips them.
func (r *Rollout) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("writing rollout %q: %w", r.ID, err)
	}
	f := format
	plan := planFields{r.Plan.Waves, r.Plan.Bake.String(), r.Plan.Patience.String(), r.Plan.Silence.String(), r.Plan.Queries, r.Plan.Margin, &r.Plan.Blocked}
	all := make(map[string]json.RawMessage, len(r.rest)+16)
	for k, v := range r.rest {
		all[k] = v
	}
	for _, m := range r.fields(&f, &plan) {
		if m.skip {
			continue
		}
		b, err := marshal(m.at)
		if err != nil {
			return nil, fmt.Errorf("writing rollout %q: %s: %w", r.ID, m.key, err)
		}
		all[m.key] = b
	}
	b, err := marshal(all)
	switch {
	case err != nil:
		return nil, fmt.Errorf("writing rollout %q: %w", r.ID, err)
	case len(b) > MaxDocument:
		return nil, fmt.Errorf("writing rollout %q: it has %d octets, more than %d", r.ID, len(b), MaxDocument)
	}
	return b, nil
}

// marshal is JSON without HTML's escapes, which would make six octets of a character.
func marshal(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// Decode reads a document that Encode wrote, in this release or a later one of the same format.
func Decode(b []byte) (*Rollout, error) {
	r, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("reading a rollout: %w", err)
	}
	return r, nil
}

func decode(b []byte) (*Rollout, error) {
	if len(b) > MaxDocument {
		return nil, fmt.Errorf("it has %d octets, more than %d", len(b), MaxDocument)
	}
	if !utf8.Valid(b) {
		return nil, errors.New("it is not UTF-8")
	}
	r := new(Rollout)
	if err := json.Unmarshal(b, &r.rest); err != nil {
		return nil, err
	}
	var f int
	var plan planFields
	for _, m := range r.fields(&f, &plan) {
		raw, ok := r.rest[m.key]
		if !ok {
			continue
		}
		if err := json.Unmarshal(raw, m.at); err != nil {
			return nil, fmt.Errorf("%s: %w", m.key, err)
		}
		delete(r.rest, m.key)
	}
	if f != format {
		return nil, &FormatError{f}
	}
	r.Plan = Plan{Waves: plan.Waves, Queries: plan.Queries, Margin: plan.Margin, Blocked: DefaultPlan().Blocked}
	if plan.Blocked != nil {
		r.Plan.Blocked = *plan.Blocked
	}
	for _, d := range []struct {
		text string
		to   *time.Duration
	}{{plan.Bake, &r.Plan.Bake}, {plan.Patience, &r.Plan.Patience}, {plan.Silence, &r.Plan.Silence}} {
		v, err := time.ParseDuration(d.text)
		if err != nil {
			return nil, fmt.Errorf("plan: %w", err)
		}
		*d.to = v
	}
	return r, r.check()
}

// FormatError says that a document is of a form that this release does not know.
type FormatError struct{ Format int }

func (e *FormatError) Error() string {
	return fmt.Sprintf("its format is %d; this release reads %d", e.Format, format)
}

// Hint says what to do.
func (*FormatError) Hint() string {
	return "a later release has written it: bring this node to that release"
}

// check holds a document to what everybody relies on who reads one.
func (r *Rollout) check() error {
	switch {
	case !validID(r.ID):
		return fmt.Errorf("%q is no id: 1 to %d octets without slashes and control characters", clip(string(r.ID), MaxID), MaxID)
	case r.State >= states:
		return fmt.Errorf("there is no state %d", r.State)
	case r.Wave < 0 || r.Wave >= len(r.Plan.Waves):
		return fmt.Errorf("it is in wave %d of %d", r.Wave, len(r.Plan.Waves))
	case len(r.Canaries) > MaxCanaries:
		return fmt.Errorf("it names %d canaries, more than %d", len(r.Canaries), MaxCanaries)
	case r.Reached < 0:
		return fmt.Errorf("it has reached %d nodes", r.Reached)
	case len(r.Evidence.Figures) > MaxFigures:
		return fmt.Errorf("its evidence has %d figures, more than %d", len(r.Evidence.Figures), MaxFigures)
	case r.Evidence.Time.IsZero() && (r.Evidence.Wave != 0 || r.Evidence.Figures != nil):
		return errors.New("its evidence has no time")
	}
	if err := r.Plan.Check(); err != nil {
		return err
	}
	for i, name := range r.Canaries {
		if name == "" || len(name) > MaxName || i > 0 && name <= r.Canaries[i-1] {
			return errors.New("its canaries are not names in order")
		}
	}
	texts := []string{r.Subject, r.Author, r.Reason, r.Why, r.By}
	for _, f := range r.Evidence.Figures {
		texts = append(texts, f.What, f.Node, f.Site, f.With, f.Without, f.Against)
	}
	if i := slices.IndexFunc(texts, func(s string) bool { return len(s) > MaxText || !utf8.ValidString(s) }); i >= 0 {
		return fmt.Errorf("a text has more than %d octets, or is not UTF-8", MaxText)
	}
	return nil
}

func validID(id ID) bool {
	return id != "" && len(id) <= MaxID && utf8.ValidString(string(id)) && !strings.ContainsFunc(string(id), func(c rune) bool { return c == '/' || c < 0x20 || c == 0x7f })
}

// MarshalJSON writes a sum as results, the buckets that have something, and the other counts that are not 0.
func (s *Sum) MarshalJSON() ([]byte, error) {
	out := sumFields{Results: s.Results[:], Panics: s.Panics, Faults: s.Faults, Decided: s.Decided}
	for i, n := range s.Latency {
		if n > 0 {
			out.Latency = append(out.Latency, [2]uint64{uint64(i), n})
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Sum) UnmarshalJSON(b []byte) error {
	var in sumFields
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	if len(in.Results) != int(Classes) {
		return fmt.Errorf("a sum has %d results, not %d", len(in.Results), Classes)
	}
	var out Sum
	for i, n := range in.Results {
		out.Results[i] = min(n, MaxCount)
	}
	for _, l := range in.Latency {
		if l[0] >= Buckets {
			return fmt.Errorf("a sum has a bucket %d", l[0])
		}
		out.Latency[l[0]] = min(l[1], MaxCount)
	}
	out.Panics, out.Faults = min(in.Panics, MaxCount), min(in.Faults, MaxCount)
	out.Decided = min(in.Decided, MaxCount)
	*s = out
	return nil
}

type sumFields struct {
	Results []uint64    `json:"results"`
	Latency [][2]uint64 `json:"latency,omitempty"`
	Panics  uint64      `json:"panics,omitempty"`
	Faults  uint64      `json:"faults,omitempty"`
	Decided uint64      `json:"decided,omitempty"`
}
