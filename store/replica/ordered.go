package replica

import (
	"bytes"
	"slices"
)

// The keys in their order: a tree whose leaves are runs of refs. It is for iteration; a single key is found by its hash.
const (
	maxLeaf = 127 // and one more while it is split: 1 KiB
	maxNode = 63
)

// page is a leaf, or a node with the refs of the first entries below its kids. It is immutable unless it was made by the edit that holds it.
type page struct {
	refs []ref
	kids []*page
	edit uint64
}

func (p *page) most() int {
	if p.kids == nil {
		return maxLeaf
	}
	return maxNode
}

// search returns the first of refs whose key is not below key, and whether it is that key.
func (a *arena) search(refs []ref, key []byte) (int, bool) {
	return slices.BinarySearchFunc(refs, key, func(r ref, key []byte) int { return bytes.Compare(a.key(r), key) })
}

// kid returns which kid of a node has a key, or would have it.
func (a *arena) kid(p *page, key []byte) int {
	i, found := a.search(p.refs, key)
	if !found && i > 0 {
		i--
	}
	return i
}

// place puts r at its key. If the page became two, the second is returned as well.
func (e *edit) place(p *page, key []byte, r ref) (left, right *page) {
	if p == nil {
		p = &page{edit: e.id}
	}
	p = e.ownPage(p)
	var at int
	if p.kids == nil {
		var found bool
		if at, found = e.search(p.refs, key); found {
			p.refs[at] = r
			return p, nil
		}
		p.refs = slices.Insert(p.refs, at, r)
	} else {
		at = e.kid(p, key)
		kid, more := e.place(p.kids[at], key, r)
		p.kids[at], p.refs[at] = kid, kid.refs[0]
		if more == nil {
			return p, nil
		}
		at++
		p.kids, p.refs = slices.Insert(p.kids, at, more), slices.Insert(p.refs, at, more.refs[0])
	}
	if len(p.refs) <= p.most() {
		return p, nil
	}
	half := len(p.refs) / 2
	if at == len(p.refs)-1 {
		half = at // keys that come in their order fill their pages
	}
	right = &page{refs: slices.Clone(p.refs[half:]), edit: e.id}
	p.refs = p.refs[:half]
	if p.kids != nil {
		right.kids = slices.Clone(p.kids[half:])
		clear(p.kids[half:])
		p.kids = p.kids[:half]
	}
	return p, right
}

// remove takes a key out, which must be there. It returns nil if nothing is left.
func (e *edit) remove(p *page, key []byte) *page {
	p = e.ownPage(p)
	if p.kids == nil {
		at, _ := e.search(p.refs, key)
		p.refs = slices.Delete(p.refs, at, at+1)
	} else {
		at := e.kid(p, key)
		kid := e.remove(p.kids[at], key)
		if kid == nil {
			p.kids, p.refs = slices.Delete(p.kids, at, at+1), slices.Delete(p.refs, at, at+1)
		} else {
			p.kids[at], p.refs[at] = kid, kid.refs[0]
			e.join(p, at)
		}
	}
	if len(p.refs) == 0 {
		return nil
	}
	return p
}

// join makes one of a kid that is nearly empty and the one beside it, if there is room.
func (e *edit) join(p *page, at int) {
	if kid := p.kids[at]; len(kid.refs)*4 > kid.most() || len(p.kids) == 1 {
		return
	}
	if at == len(p.kids)-1 {
		at--
	}
	left, right := p.kids[at], p.kids[at+1]
	if len(left.refs)+len(right.refs) > left.most()*3/4 {
		return
	}
	left = e.ownPage(left)
	left.refs = append(left.refs, right.refs...)
	if left.kids != nil {
		left.kids = append(left.kids, right.kids...)
	}
	p.kids[at] = left
	p.kids, p.refs = slices.Delete(p.kids, at+1, at+2), slices.Delete(p.refs, at+1, at+2)
}

// ownPage returns a copy that e may change, or p if it is one.
func (e *edit) ownPage(p *page) *page {
	if p.edit == e.id {
		return p
	}
	c := &page{refs: append(make([]ref, 0, len(p.refs)+1), p.refs...), edit: e.id}
	if p.kids != nil {
		c.kids = append(make([]*page, 0, len(p.kids)+1), p.kids...)
	}
	return c
}

// walk calls yield for all refs whose keys begin with prefix, in their order, until it says no.
func (x *index) walk(prefix string, yield func(ref) bool) {
	if x.order != nil {
		p := []byte(prefix)
		x.walkPage(x.order, p, p, yield)
	}
}

// walkPage is walk below a page, from a key on.
func (x *index) walkPage(p *page, from, prefix []byte, yield func(ref) bool) bool {
	if p.kids == nil {
		at, _ := x.search(p.refs, from)
		for _, r := range p.refs[at:] {
			if !bytes.HasPrefix(x.key(r), prefix) || !yield(r) {
				return false
			}
		}
		return true
	}
	first := x.kid(p, from)
	for i, kid := range p.kids[first:] {
		if i > 0 {
			if !bytes.HasPrefix(x.key(p.refs[first+i]), prefix) {
				return false
			}
			from = nil
		}
		if !x.walkPage(kid, from, prefix, yield) {
			return false
		}
	}
	return true
}
