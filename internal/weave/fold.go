package weave

// To charge costs a load, a subtraction and a store, about as much as mostFolded of fuel. So code that is shorter is charged where the branch to it is,
// taken or not. A segment is charged for others up to mostLent, so that a switch of a hundred short cases does not cost the sum of them.
const (
	mostFolded = 8
	mostLent   = 24
)

// fold decides which segments are charged at their parents. Parents stand before their children.
func fold(segments []segment) {
	for i := len(segments) - 1; i >= 0; i-- {
		s := &segments[i]
		if s.parent < 0 {
			continue
		}
		p := &segments[s.parent]
		if s.cost <= mostFolded && p.lent+s.cost <= mostLent {
			p.cost += s.cost
			p.lent += s.cost
			s.folded = true
		}
	}
}
