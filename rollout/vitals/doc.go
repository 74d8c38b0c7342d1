// Package vitals is what nodes tell of how they are, once a second, and how it is gathered: a [Report] has a row for each node, and sums of what their clients saw. A relay
// hands up the rows of those below it and adds their sums, so that a root hears from its relays alone, whatever the size of the fleet.
//
// A [Registry] takes reports in and makes the next one; at the driver of rollouts it fills the views that verdicts rest on. Nothing of this is ever written to
// a disk or a store.
package vitals
