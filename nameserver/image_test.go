package nameserver

import "testing"

// A query that began before a purge leaves the images of after it alone.
func TestGenerationsOfBefore(t *testing.T) {
	var g generations
	table := &Table{answers: "settings"}
	before := g.of(table, 1)
	now := g.of(table, 2)
	if late := g.of(table, 1); late == now || late == before {
		t.Errorf("it has the number %d of others: %d before, %d now", late, before, now)
	}
	if again := g.of(table, 2); again != now {
		t.Errorf("images of number %d are lost: it is %d", now, again)
	}
}
