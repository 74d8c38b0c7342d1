package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// The file is read at the start by this file's own reading of bbolt's format (version 2 of it), by read and not from mapped memory, and with nothing taken on trust: bbolt trusts
// what it maps, panics in goroutines of its own where pages contradict each other, and an octet that was changed in a document is as good as any to it. What comes out is all of the three
// buckets, in order, and that bbolt may open the file.
//
// A file begins with two meta pages, each of which has a checksum; the later one is in force. bbolt takes the earlier where the later is spoilt, and so would go back by a
// commit that was acknowledged. Here both must be good: a page that is written is good before it and after it, since what counts of it lies in one sector of a disk.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHeader    = 16
	pageElement   = 16
	bucketHeader  = 16
	metaLength    = 64
	flagBranch    = 1
	flagLeaf      = 2
	flagMeta      = 4
	flagFree      = 16
	elementBucket = 1

	minPage = 1 << 10
	maxPage = 64 << 10 // the largest pages of memory that a system has

	// maxTree is how deep a tree of pages may be. With two keys to a page 2^32 pages are as deep.
	maxTree = 32
	// maxRun is how long a page with those that it flows over into may be: the largest record, twice.
	maxRun = 32 << 20
)

var native = binary.NativeEndian // bbolt writes numbers as they lie in memory

// pages reads the pages of a file.
type pages struct {
	f    io.ReaderAt
	size int64 // of a page
	most uint64
	root uint64
	list uint64   // the page with the list of free ones
	seen []uint64 // one bit for each page: none belongs to two
	bufs [][]byte // for pages, by depth
}

// readPages reads the meta pages of a file of a length.
func readPages(f io.ReaderAt, length int64) (*pages, error) {
	var size int64
	first := make([]byte, pageHeader+metaLength)
	if _, err := f.ReadAt(first, 0); err != nil {
		return nil, fmt.Errorf("reading page 0: %w", err)
	}
	size = int64(native.Uint32(first[pageHeader+8:]))
	if size < minPage || size > maxPage || size&(size-1) != 0 {
		return nil, fmt.Errorf("page 0 says that pages have %d octets", size)
	}
	second := make([]byte, pageHeader+metaLength)
	if _, err := f.ReadAt(second, size); err != nil {
		return nil, fmt.Errorf("reading page 1: %w", err)
	}
	var txid [2]uint64
	var newest []byte
	for i, b := range [][]byte{first, second} {
		meta := b[pageHeader:]
		h := fnv.New64a()
		h.Write(meta[:metaLength-8])
		switch version := native.Uint32(meta[4:]); {
		case native.Uint32(meta) != boltMagic:
			return nil, fmt.Errorf("page %d has not the mark of bbolt", i)
		case native.Uint64(meta[metaLength-8:]) != h.Sum64():
			return nil, fmt.Errorf("page %d has a wrong checksum", i)
		case version > boltVersion:
			return nil, &FormatError{Why: fmt.Sprintf("bbolt's format is %d, and this one reads %d", version, boltVersion)}
		case version < boltVersion || int64(native.Uint32(meta[8:])) != size || native.Uint64(b) != uint64(i) || native.Uint16(b[8:]) != flagMeta:
			return nil, fmt.Errorf("page %d is none of ours", i)
		}
		txid[i] = native.Uint64(meta[48:])
		if txid[i]%2 != uint64(i) {
			return nil, fmt.Errorf("page %d has the number of a transaction that belongs on the other", i)
		}
		if newest == nil || txid[1] > txid[0] {
			newest = meta
		}
	}
	if max(txid[0], txid[1])-min(txid[0], txid[1]) != 1 {
		return nil, errors.New("pages 0 and 1 are not those of two transactions in a row")
	}
	p := &pages{f: f, size: size, root: native.Uint64(newest[16:]), list: native.Uint64(newest[32:]), most: native.Uint64(newest[40:])}
	if p.most < 3 || p.most > uint64(length/size) {
		return nil, fmt.Errorf("it should have %d pages, and has %d", p.most, length/size)
	}
	p.seen = make([]uint64, p.most/64+1)
	return p, nil
}

// errElement is in place of elements that contradict themselves.
var errElement = errors.New("an element lies outside its page")

// read returns a page, with what it flows over into, in a buffer for its depth.
func (p *pages) read(id uint64, depth int) ([]byte, error) {
	if id < 2 || id >= p.most {
		return nil, fmt.Errorf("there is no page %d", id)
	}
	for len(p.bufs) <= depth {
		p.bufs = append(p.bufs, make([]byte, p.size))
	}
	b := p.bufs[depth][:p.size]
	if _, err := p.f.ReadAt(b, int64(id)*p.size); err != nil {
		return nil, fmt.Errorf("reading page %d: %w", id, err)
	}
	more := uint64(native.Uint32(b[12:]))
	switch {
	case native.Uint64(b) != id:
		return nil, fmt.Errorf("page %d says that it is page %d", id, native.Uint64(b))
	case more >= p.most-id || (more+1)*uint64(p.size) > maxRun:
		return nil, fmt.Errorf("page %d flows over into %d", id, more)
	}
	for i := id; i <= id+more; i++ {
		if !p.see(i) {
			return nil, fmt.Errorf("page %d belongs to two", i)
		}
	}
	if more > 0 {
		whole := (int(more) + 1) * int(p.size)
		if cap(b) < whole {
			b = append(make([]byte, 0, whole), b...)
			p.bufs[depth] = b
		}
		b = b[:whole]
		if _, err := p.f.ReadAt(b[p.size:], int64(id)*p.size+p.size); err != nil {
			return nil, fmt.Errorf("reading page %d: %w", id, err)
		}
	}
	return b, nil
}

// see marks a page, and tells whether it is seen for the first time.
func (p *pages) see(id uint64) bool {
	word, bit := id/64, uint64(1)<<(id%64)
	first := p.seen[word]&bit == 0
	p.seen[word] |= bit
	return first
}

// free reads the list of free pages, after all buckets were read: bbolt writes over what is in it. A page that is neither free nor in use is lost, and harms nobody.
func (p *pages) free() error {
	b, err := p.read(p.list, 0)
	if err != nil {
		return err
	}
	if native.Uint16(b[8:]) != flagFree {
		return fmt.Errorf("page %d is no list of free pages", p.list)
	}
	count, at := uint64(native.Uint16(b[10:])), pageHeader
	if count == 0xffff { // too many to be counted in 16 bits
		count, at = native.Uint64(b[at:]), at+8
	}
	if count > uint64(len(b)-at)/8 {
		return fmt.Errorf("page %d lists %d free pages, and has no room for them", p.list, count)
	}
	for ; count > 0; count, at = count-1, at+8 {
		id := native.Uint64(b[at:])
		if id < 2 || id >= p.most || !p.see(id) {
			return fmt.Errorf("page %d is free, and is not", id)
		}
	}
	return nil
}

// found is called for each element of a leaf. Key and value are good until it returns.
type found func(flags uint32, key, value []byte) error

// tree walks the leaves below a page in order. Keys have to be at least low and below high (nil: no bound).
func (p *pages) tree(id uint64, depth int, low, high []byte, do found) error {
	if depth >= maxTree {
		return fmt.Errorf("its trees are deeper than %d", maxTree)
	}
	b, err := p.read(id, depth)
	if err != nil {
		return err
	}
	switch flags := native.Uint16(b[8:]); {
	case flags == flagLeaf:
		err = leaf(b, low, high, do)
	case flags == flagBranch:
		err = p.branch(b, depth, low, high, do)
	default:
		err = fmt.Errorf("its kind is %#x", flags)
	}
	if err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

// branch walks what is below a branch.
func (p *pages) branch(b []byte, depth int, low, high []byte, do found) error {
	count := int(native.Uint16(b[10:]))
	key := func(i int) ([]byte, error) {
		at := pageHeader + pageElement*i
		if at+pageElement > len(b) {
			return nil, errElement
		}
		from := uint64(at) + uint64(native.Uint32(b[at:]))
		to := from + uint64(native.Uint32(b[at+4:]))
		if from < uint64(pageHeader+pageElement*count) || to > uint64(len(b)) || from == to {
			return nil, errElement
		}
		return b[from:to], nil
	}
	if count == 0 {
		return errors.New("it is a branch without a twig")
	}
	this, err := key(0)
	if err != nil {
		return err
	}
	for i := range count {
		next := high
		if i+1 < count {
			if next, err = key(i + 1); err != nil {
				return err
			}
		}
		if low != nil && bytes.Compare(this, low) < 0 || high != nil && bytes.Compare(this, high) >= 0 || i+1 < count && bytes.Compare(this, next) >= 0 {
			return errors.New("its keys are not in order")
		}
		if err := p.tree(native.Uint64(b[pageHeader+pageElement*i+8:]), depth+1, this, next, do); err != nil {
			return err
		}
		this = next
	}
	return nil
}

// leaf walks the elements of a leaf.
func leaf(b, low, high []byte, do found) error {
	count := int(native.Uint16(b[10:]))
	var before []byte
	for i := range count {
		at := pageHeader + pageElement*i
		if at+pageElement > len(b) {
			return errElement
		}
		flags := native.Uint32(b[at:])
		from := uint64(at) + uint64(native.Uint32(b[at+4:]))
		mid := from + uint64(native.Uint32(b[at+8:]))
		to := mid + uint64(native.Uint32(b[at+12:]))
		if from < uint64(pageHeader+pageElement*count) || to > uint64(len(b)) || from == mid || flags > elementBucket {
			return errElement
		}
		key := b[from:mid:mid]
		if i == 0 && low != nil && bytes.Compare(key, low) < 0 || i > 0 && bytes.Compare(before, key) >= 0 || high != nil && bytes.Compare(key, high) >= 0 {
			return errors.New("its keys are not in order")
		}
		if err := do(flags, key, b[mid:to:to]); err != nil {
			return err
		}
		before = key
	}
	return nil
}

// buckets calls do for all elements of the buckets of those names, in that order. There have to be these and no others, and none in them.
func (p *pages) buckets(names []string, do []found) error {
	values := make(map[string][]byte)
	err := p.tree(p.root, 0, nil, nil, func(flags uint32, key, value []byte) error {
		if flags != elementBucket || len(value) < bucketHeader || native.Uint64(value[8:]) != 0 {
			return fmt.Errorf("%q is none of ours", key)
		}
		values[string(key)] = bytes.Clone(value)
		return nil
	})
	if err != nil {
		return err
	}
	if len(values) != len(names) {
		return fmt.Errorf("it has %d buckets, not %d", len(values), len(names))
	}
	for i, name := range names {
		value, ok := values[name]
		if !ok {
			return fmt.Errorf("it has no bucket %q", name)
		}
		each := func(flags uint32, key, value []byte) error {
			if flags != 0 {
				return errors.New("a bucket is in a bucket")
			}
			return do[i](flags, key, value)
		}
		if root := native.Uint64(value); root != 0 {
			err = p.tree(root, 0, nil, nil, each)
		} else { // a small one lies in its element
			err = inline(value[bucketHeader:], each)
		}
		if err != nil {
			return fmt.Errorf("bucket %q: %w", name, err)
		}
	}
	return nil
}

// inline walks a page that lies in an element.
func inline(b []byte, do found) error {
	if len(b) < pageHeader || native.Uint64(b) != 0 || native.Uint16(b[8:]) != flagLeaf || native.Uint32(b[12:]) != 0 {
		return errors.New("it has no page, and none in it")
	}
	return leaf(b, nil, nil, do)
}
