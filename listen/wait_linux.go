package listen

import "time"

// waiting decides what a loop does while its socket is empty: spin, or park in the runtime's poller.
//
// Parking alone has two flaws. First, the runtime looks at the poller only when no goroutine wants to run, or every 10 ms. So behind the resolutions of others a
// query that could be answered at once waits for all of them. (Yielding is no help: the queue that it puts the loop into is looked at as rarely.) But it
// looks at its timers before each goroutine. So while there may be others, the loop parks with a deadline, and looks into its socket itself when that has passed.
//
// Second, the kernel takes some 30 us to wake a processor that sleeps. So a loop may be told to spin before it parks, which pays if the next query comes
// soon: while it does, the loop spins, and if it has done so in vain, for half as long the next time.
type waiting struct {
	// poll is the time to the next look; 0: the poller is relied on. It begins with leastPoll when there is a sign of others (queries that were handed over,
	// more than one packet at once after a park, or a look that found something) and doubles with each look that finds nothing, until mostPoll.
	poll    time.Duration
	looking bool      // the last deadline has passed, and what is found tells whether the poller could have been relied on
	due     time.Time // the deadline that is set; zero: none

	spin     time.Duration // the longest; 0: never
	budget   time.Duration // for the next time
	until    time.Time     // the end of the spinning under way; zero: none
	parked   time.Time     // when it parked last, if spin is not 0; zero: it has not
	spinners *spinners
}

const (
	// leastPoll is how long a query waits behind others, beside one goroutine's turn. A look costs about 1 us: 1 % of a busy processor.
	leastPoll = 100 * time.Microsecond
	// mostPoll is as long as the runtime takes anyway, nearly.
	mostPoll = 6400 * time.Microsecond
	// leastSpin: a shorter budget would only cost.
	leastSpin = 4 * time.Microsecond
)

// received takes note of packets, of which some went to the handler one by one. parked tells whether the loop had parked before.
func (w *waiting) received(packets, singly int, parked bool) {
	if singly > 0 || w.looking || parked && packets > 1 {
		w.poll = leastPoll
	}
	w.looking = false
	if w.spin == 0 {
		return
	}
	switch {
	case !w.until.IsZero(): // it paid
		w.stopSpinning()
		w.budget = w.spin
	case !w.parked.IsZero() && w.budget < w.spin && time.Since(w.parked) < w.spin: // it would have
		w.budget = w.spin
	}
	w.parked = time.Time{}
	if singly > 0 { // let them run first
		w.budget = 0
	}
}

// again tells whether to look into the socket again at once, after it was empty, or is expected to be.
func (w *waiting) again() bool {
	if w.budget < leastSpin {
		return false
	}
	now := time.Now()
	if w.until.IsZero() {
		if !w.spinners.enter() {
			return false
		}
		w.until = now.Add(w.budget)
		return true
	}
	if now.Before(w.until) {
		return true
	}
	w.stopSpinning()
	w.budget /= 2
	return false
}

func (w *waiting) stopSpinning() {
	if !w.until.IsZero() {
		w.until = time.Time{}
		w.spinners.leave()
	}
}

// park gets ready to park, and sets the deadline of the socket if need be.
func (w *waiting) park(set func(time.Time) error) {
	if w.looking { // and found nothing
		w.looking = false
		if w.poll *= 2; w.poll > mostPoll {
			w.poll = 0
		}
	}
	if w.poll == 0 && w.spin == 0 {
		return
	}
	now := time.Now()
	if w.spin > 0 {
		w.parked = now
	}
	if due := now.Add(w.poll); w.poll > 0 && (w.due.IsZero() || w.due.After(due)) {
		w.due = due
		set(due)
	}
}

// expired takes note that the deadline has passed.
func (w *waiting) expired(set func(time.Time) error) {
	w.looking = !w.due.IsZero()
	w.due = time.Time{}
	set(time.Time{})
}
