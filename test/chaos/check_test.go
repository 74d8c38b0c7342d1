package chaos

import (
	"bytes"
	"fmt"
	"maps"
	"strings"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/replica"
)

// check looks at all that was seen in a run, and says what is wrong.
func (w *world) check(say func(string, ...any)) {
	for _, one := range w.writes {
		w.checkWrite(one, say)
	}
	for _, n := range w.nodes {
		w.checkSights(n, say)
	}
}

// checkWrite holds what a writer was told against what was decided.
func (w *world) checkWrite(one *write, say func(string, ...any)) {
	var at *store.Record
	for l, tr := range w.truths {
		for _, r := range tr.log {
			if r.ID == one.id {
				if at != nil || l != one.lineage {
					say("commit %v was decided twice, or in another lineage", one.id)
				}
				at = r
			}
		}
	}
	switch {
	case one.unknown():
	case one.done() && one.record == nil:
		if at != nil {
			say("commit %v was said to change nothing, and is version %d", one.id, at.Version)
		}
	case one.done():
		if at == nil || at.Version != one.record.Version || at.Hash != one.record.Hash {
			say("commit %v was acknowledged as version %d, and is lost", one.id, one.record.Version)
		}
		if one.ended {
			say("version %d was committed under a term that had ended", one.record.Version)
		}
	case at != nil:
		say("commit %v was said not to be made (%v), and is version %d", one.id, one.err, at.Version)
	}
}

// checkSights looks at all views that a node has shown: each is what was decided, whole, and they only go forward.
func (w *world) checkSights(n *node, say func(string, ...any)) {
	var last store.Head
	for i, s := range n.seen {
		h := s.view.Head()
		switch {
		case i == 0 || s.first && !s.kept:
		case s.first && (h.Lineage != last.Lineage || h.Version < last.Version):
			say("%s had shown version %d of %v, and begins with %d of %v", n.name, last.Version, last.Lineage, h.Version, h.Lineage)
		case h.Lineage != last.Lineage && h.Lineage[0] < last.Lineage[0]:
			say("%s goes back from lineage %v to %v", n.name, last.Lineage, h.Lineage)
		case h.Lineage == last.Lineage && h.Version < last.Version:
			say("%s goes back from version %d to %d", n.name, last.Version, h.Version)
		}
		last = h
		if h.Lineage == (store.Lineage{}) {
			continue
		}
		if why := w.differs(n, s.view); why != "" {
			say("%s, version %d of %v: %s", n.name, h.Version, h.Lineage, why)
		}
	}
}

// differs says where a view is not what was decided.
func (w *world) differs(n *node, v *replica.View) string {
	h, tr := v.Head(), w.truths[v.Head().Lineage]
	if tr == nil || int(h.Version) > len(tr.log) {
		return "it was never decided"
	}
	if h.Version > 0 && (tr.log[h.Version-1].Hash != h.Hash || tr.log[h.Version-1].Sum != h.Sum) {
		return "its head is that of nothing that was decided"
	}
	want, got := tr.entries[h.Version], maps.Collect(v.All())
	missing := 0
	for key, e := range want {
		mine, there := got[key]
		if !there && n.name == limited && strings.HasPrefix(key, hidden) {
			missing++
			continue
		}
		if !there || !bytes.Equal(mine.Value, e.Value) || mine.Salt != e.Salt {
			return fmt.Sprintf("it has %.20q (%v) at %q, and not %.20q", mine.Value, there, key, e.Value)
		}
		delete(got, key)
	}
	if len(got) > 0 {
		return fmt.Sprintf("it has %d keys that there are not", len(got))
	}
	if count, _ := v.Hidden(); int(count) != missing {
		return fmt.Sprintf("it knows of %d hidden entries, and there are %d", count, missing)
	}
	for i := range writers {
		get := func(key string) string { b, _ := v.Get(fmt.Sprint(key, i)); return string(b) }
		if a, b := get("a/"), get("b/"); b > a {
			return fmt.Sprintf("b is %s, and a, which was written before it, is %q", b, a)
		}
		if x, y := get("x/"), get("y/"); x != y {
			return fmt.Sprintf("of one commit x is %q and y is %q", x, y)
		}
	}
	return ""
}

// checkLog holds the log of a node against what was decided: nothing between its floor and its head is skipped.
func (w *world) checkLog(n *node, say func(string, ...any)) {
	h, tr := n.copy.View().Head(), w.truths[n.copy.View().Head().Lineage]
	if tr == nil {
		say("%s has no copy", n.name)
		return
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	after := n.copy.Floor()
	for after < h.Version {
		records, err := n.copy.Records(after, 64<<10)
		if err != nil || len(records) == 0 {
			say("the log of %s ends after version %d of %d: %v", n.name, after, h.Version, err)
			return
		}
		for _, r := range records {
			if after++; r.Version != after || r.Hash != tr.log[after-1].Hash {
				say("the log of %s has another version %d", n.name, after)
				return
			}
		}
	}
}
