package wasm

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Pool has the instances of a module: one kept for each core, and more while they are needed, up to the limit. Who takes one has it alone, so a guest that takes long delays
// those who wait for it, and nobody else.
type Pool struct {
	module *Module
	slots  []slot
	places chan struct{} // holds one for each instance that there is

	waiting atomic.Int32
	freed   chan struct{} // wakes one who waits
	closed  atomic.Bool

	refill, quit, done chan struct{}
}

// slot keeps an instance of one core, on a cache line of its own.
type slot struct {
	free atomic.Pointer[Instance]
	_    [128 - 8]byte
}

// NewPool makes an instance for each of so many cores. The module's start function runs in each; that it fails is an error here.
func NewPool(m *Module, cores int) (*Pool, error) {
	cores = max(1, min(cores, m.spec.Limits.Instances))
	p := &Pool{
		module: m, slots: make([]slot, cores), places: make(chan struct{}, m.spec.Limits.Instances), freed: make(chan struct{}, 1),
		refill: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	err := p.fill()
	go p.keepFull()
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Module is what these are instances of.
func (p *Pool) Module() *Module { return p.module }

// fill puts an instance into each slot that has none, as far as there is place.
func (p *Pool) fill() error {
	for k := range p.slots {
		if p.slots[k].free.Load() != nil {
			continue
		}
		select {
		case p.places <- struct{}{}:
		default:
			return nil
		}
		i, err := p.make()
		if err != nil {
			return err
		}
		p.keep(k, i)
	}
	return nil
}

// make makes an instance, for which there is a place.
func (p *Pool) make() (*Instance, error) {
	i, err := p.module.instantiate()
	if err != nil {
		<-p.places
	}
	return i, err
}

// keepFull replaces instances that faulted, so that nobody waits for that.
func (p *Pool) keepFull() {
	defer close(p.done)
	for {
		select {
		case <-p.refill:
		case <-p.quit:
			return
		}
		if err := p.fill(); err != nil {
			p.module.engine.config.Log.Error("an instance of a module could not be made again", "module", p.module.spec.Name, "error", err)
		}
	}
}

// Take returns an instance that is free, of this core if it has one; nil if there is none. It neither waits nor allocates.
func (p *Pool) Take(core int) *Instance {
	n := len(p.slots)
	for k := range n {
		s := &p.slots[(core+k)%n]
		if s.free.Load() == nil {
			continue // without taking the line from who writes it
		}
		if i := s.free.Swap(nil); i != nil {
			return i
		}
	}
	p.module.engine.counted.none.Inc()
	return nil
}

// mostWait is how long a call waits for an instance: of a module whose calls take their 50 us, in which 64 of them serve a million, and a quarter of what a client waits. Who is not served within it is better told.
const mostWait = time.Second

// ErrBusy is why a call has no instance: all that there may be were in use for a second.
var ErrBusy = errors.New("all of its instances are in use")

// ErrClosed is why a pool that was closed has no instance for anybody.
var ErrClosed = errors.New("the module was taken out of service")

// TakeOrMake returns an instance: a free one, a new one if there may be more, or the first that comes free within a second, or until ctx is done.
func (p *Pool) TakeOrMake(ctx context.Context, core int) (*Instance, error) {
	if i := p.Take(core); i != nil {
		return i, nil
	}
	p.waiting.Add(1)
	defer func() {
		if p.waiting.Add(-1) > 0 {
			p.wakeOne() // whoever was to be woken for another instance may have found this one's signal taken
		}
	}()
	var late <-chan time.Time
	for {
		if p.closed.Load() {
			return nil, ErrClosed
		}
		if i := p.Take(core); i != nil { // put back before it was seen that somebody waits
			return i, nil
		}
		select {
		case p.places <- struct{}{}:
			return p.make()
		default:
		}
		if late == nil {
			t := time.NewTimer(mostWait)
			defer t.Stop()
			late = t.C
		}
		select {
		case p.places <- struct{}{}:
			return p.make()
		case <-p.freed:
		case <-p.quit:
		case <-late:
			p.module.engine.counted.busy.Inc()
			return nil, fmt.Errorf("waiting for one of the %d instances of module %q: %w", p.module.spec.Limits.Instances, p.module.spec.Name, ErrBusy)
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for one of the %d instances of module %q: %w", p.module.spec.Limits.Instances, p.module.spec.Name, ctx.Err())
		}
	}
}

// Fresh returns an instance that nobody has called yet, if there may be one more. Discard it: the pool does not know of it.
func (p *Pool) Fresh(ctx context.Context) (*Instance, error) {
	select {
	case p.places <- struct{}{}:
		return p.make()
	default:
		return nil, fmt.Errorf("making a fresh instance of module %q: all %d are in use", p.module.spec.Name, p.module.spec.Limits.Instances)
	}
}

// Discard closes an instance of Fresh.
func (p *Pool) Discard(i *Instance) { p.drop(i) }

func (p *Pool) wakeOne() {
	select {
	case p.freed <- struct{}{}:
	default:
	}
}

// Put gives an instance back. One that faulted is closed, and replaced in the background.
func (p *Pool) Put(core int, i *Instance) {
	if !i.faulted {
		p.keep(core, i)
		return
	}
	p.drop(i)
	p.module.engine.counted.replaced.Inc()
	select {
	case p.refill <- struct{}{}:
	default:
	}
}

// keep puts an instance into a free slot, or closes it: what was made for a rush goes with it.
func (p *Pool) keep(core int, i *Instance) {
	n := len(p.slots)
	for k := range n {
		if p.slots[(core+k)%n].free.CompareAndSwap(nil, i) {
			if p.waiting.Load() > 0 {
				p.wakeOne()
			}
			if p.closed.Load() { // while it was put there
				p.empty()
			}
			return
		}
	}
	p.drop(i)
}

func (p *Pool) drop(i *Instance) {
	i.Close()
	<-p.places
}

func (p *Pool) empty() {
	for k := range p.slots {
		if i := p.slots[k].free.Swap(nil); i != nil {
			p.drop(i)
		}
	}
}

// Close closes all instances. It waits for those that are taken to be put back.
func (p *Pool) Close() {
	p.closed.Store(true)
	close(p.quit)
	<-p.done
	p.empty()
	for range cap(p.places) { // when all places are ours, there is no instance
		p.places <- struct{}{}
	}
}
