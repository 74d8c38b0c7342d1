package telemetry

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Document returns the table of all that is registered in m, as it stands in docs/metrics.md: one row for each metric, by
// name.
func Document(m *Metrics) string {
	var b strings.Builder
	b.WriteString("| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n")
	for _, f := range m.sorted() {
		b.WriteString(row(f))
	}
	return b.String()
}

func row(f family) string {
	labels := ""
	if len(f.labels) > 0 {
		labels = "`" + strings.Join(f.labels, "`, `") + "`"
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s |\n", f.name, f.kind, labels, f.help)
}

// CheckDocument holds a document that contains the table of [Document] against what is registered in m, both ways. It names
// every metric that the document lacks, tells otherwise, or has too many.
func CheckDocument(m *Metrics, document string) error {
	rows := map[string]string{}
	var errs []error
	for l := range strings.Lines(document) {
		rest, ok := strings.CutPrefix(l, "| `ananas_")
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(rest, "`")
		name = "ananas_" + name
		if _, twice := rows[name]; twice {
			errs = append(errs, fmt.Errorf("%s: has two rows", name))
		}
		rows[name] = strings.TrimRight(l, "\r\n") + "\n"
	}
	for _, f := range m.sorted() {
		got, ok := rows[f.name]
		delete(rows, f.name)
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("%s: is registered and has no row; it should be\n\t%s", f.name, row(f)))
		case got != row(f):
			errs = append(errs, fmt.Errorf("%s: the row differs; it should be\n\t%s", f.name, row(f)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		errs = append(errs, fmt.Errorf("%s: has a row and is registered nowhere", name))
	}
	return errors.Join(errs...)
}
