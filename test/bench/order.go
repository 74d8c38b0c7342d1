//go:build linux

package bench

// Order lists in which order the contenders run, for each round: the first begins one round and the second the next, so that what
// drifts (the machine, the lab's memory of what it signed) falls on both alike.
func Order(rounds int) [][]int {
	var order [][]int
	for i := range rounds {
		if i%2 == 0 {
			order = append(order, []int{0, 1})
		} else {
			order = append(order, []int{1, 0})
		}
	}
	return order
}
