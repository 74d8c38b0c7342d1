package strictyaml

import "strings"

// Nearest returns the known word that s is most likely a misspelling of, "" if none is near.
func Nearest(s string, known []string) string { return nearest(s, known) }

// nearest returns the known word that s is most likely a misspelling of, "" if none is near.
func nearest(s string, known []string) string {
	const longest = 64 // octets of a word that is worth comparing; the comparison is quadratic
	if len(s) > longest {
		return ""
	}
	best, bestAt := "", max(1, len(s)/3)+1
	for _, k := range known {
		if len(k) > longest {
			continue
		}
		if d := distance(fold(s), fold(k)); d < bestAt {
			best, bestAt = k, d
		}
	}
	return best
}

// fold removes the differences that people do not see.
func fold(s string) string {
	return strings.NewReplacer("-", "_", " ", "_").Replace(strings.ToLower(s))
}

// distance counts the insertions, deletions, replacements and swaps of neighbours that turn a into b.
func distance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	before, last, next := rows[0], rows[1], rows[2]
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(last[j]+1, next[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, last, next = last, next, before
	}
	return last[len(b)]
}
