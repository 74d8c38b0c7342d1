package terminal

import (
	"io"
	"strings"
)

// Table is rows under a head, each column as wide as its widest cell.
type Table struct {
	Head []string // a head that begins with a space is that of a column of numbers, which is set to the right
	Rows [][]string
	// Notes are lines below the row of that index, indented.
	Notes map[int][]string
}

// Write writes the table; every cell passes through [Clean].
func (t *Table) Write(w io.Writer) error {
	widths := make([]int, len(t.Head))
	right := make([]bool, len(t.Head))
	head := make([]string, len(t.Head))
	for i, h := range t.Head {
		head[i] = strings.TrimPrefix(h, " ")
		right[i] = head[i] != h
		widths[i] = Columns(head[i])
	}
	rows := make([][]string, len(t.Rows))
	for r, row := range t.Rows {
		rows[r] = make([]string, len(row))
		for i, cell := range row {
			rows[r][i] = strings.ReplaceAll(Clean(cell), "\n", " ")
			widths[i] = max(widths[i], Columns(rows[r][i]))
		}
	}
	var b strings.Builder
	line := func(cells []string) {
		var l strings.Builder
		for i, cell := range cells {
			fill := strings.Repeat(" ", widths[i]-Columns(cell))
			if i > 0 {
				l.WriteString("  ")
			}
			if right[i] {
				l.WriteString(fill + cell)
			} else {
				l.WriteString(cell + fill)
			}
		}
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
	line(head)
	for i, row := range rows {
		line(row)
		for _, note := range t.Notes[i] {
			for l := range strings.Lines(Clean(note)) {
				b.WriteString("    " + strings.TrimRight(l, "\n") + "\n")
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
