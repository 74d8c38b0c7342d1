package telemetry

import (
	"bytes"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// contentType is that of the Prometheus text exposition format.
const contentType = "text/plain; version=0.0.4; charset=utf-8"

// Handler serves all metrics in the Prometheus text format.
func (m *Metrics) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Write(m.expose())
	})
}

// expose writes the families by name, so that two scrapes can be compared line by line.
func (m *Metrics) expose() []byte {
	var b bytes.Buffer
	for _, f := range m.sorted() {
		b.WriteString("# HELP " + f.name + " " + strings.ReplaceAll(f.help, `\`, `\\`) + "\n")
		b.WriteString("# TYPE " + f.name + " " + string(f.kind) + "\n")
		switch {
		case f.vec != nil:
			for _, s := range f.vec.sorted() {
				sample(&b, f.name, f.labels, s.values, strconv.FormatUint(s.Value(), 10))
			}
		case f.counter != nil:
			sample(&b, f.name, nil, nil, strconv.FormatUint(f.counter.Value(), 10))
		case f.histogram != nil:
			exposeHistogram(&b, f.name, f.histogram)
		default:
			sample(&b, f.name, nil, nil, float(sum(f.funcs)))
		}
	}
	return b.Bytes()
}

func exposeHistogram(b *bytes.Buffer, name string, h *Histogram) {
	var total uint64
	le := []string{"le"}
	for i := range h.buckets {
		total += h.buckets[i].Load()
		upper := "+Inf"
		if i < bounds {
			upper = float(float64(bound(i)) / 1e9)
		}
		sample(b, name+"_bucket", le, []string{upper}, strconv.FormatUint(total, 10))
	}
	sample(b, name+"_sum", nil, nil, float(float64(h.sum.Load())/1e9))
	sample(b, name+"_count", nil, nil, strconv.FormatUint(total, 10))
}

func sample(b *bytes.Buffer, name string, labels, values []string, value string) {
	b.WriteString(name)
	for i, l := range labels {
		b.WriteByte("{,"[min(i, 1)])
		b.WriteString(l)
		b.WriteString(`="`)
		b.WriteString(labelEscape.Replace(values[i]))
		b.WriteByte('"')
	}
	if len(labels) > 0 {
		b.WriteByte('}')
	}
	b.WriteByte(' ')
	b.WriteString(value)
	b.WriteByte('\n')
}

var labelEscape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

func float(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// sum adds the functions up. One that panics makes the sum NaN: a broken gauge must not take the page with it.
func sum(fs []func() float64) (total float64) {
	defer func() {
		if recover() != nil {
			total = math.NaN()
		}
	}()
	for _, f := range fs {
		total += f()
	}
	return total
}
