package telemetry

import (
	"bytes"
	"math"
	"os"
	"runtime/metrics"
	"strconv"
	"time"
)

// Process registers what the process uses: memory, goroutines, files, processor time and the collector's share of it.
// What this system does not tell is NaN.
func (m *Metrics) Process(started time.Time) {
	m.GaugeFunc("ananas_process_start_time_seconds", "When the process started, in seconds since 1970.", func() float64 {
		return float64(started.UnixMilli()) / 1e3
	})
	for _, g := range []struct{ name, help, source string }{
		{"ananas_process_goroutines", "Goroutines that exist.", "/sched/goroutines:goroutines"},
		{"ananas_process_heap_bytes", "Bytes of objects on the Go heap, dead ones not yet swept included.", "/memory/classes/heap/objects:bytes"},
		{"ananas_process_go_memory_bytes", "Bytes that the Go runtime mapped and has not given back; the cache arenas lie outside.", "/memory/classes/total:bytes"},
	} {
		m.GaugeFunc(g.name, g.help, runtimeMetric(g.source))
	}
	m.CounterFunc("ananas_process_gc_cycles_total", "Garbage collections that were completed.", runtimeMetric("/gc/cycles/total:gc-cycles"))
	m.GaugeFunc("ananas_process_resident_bytes", "Bytes of memory that are resident, the cache arenas included.", residentBytes)
	m.GaugeFunc("ananas_process_open_files", "Open files and sockets.", openFiles)
	m.CounterFunc("ananas_process_cpu_seconds_total", "Processor time used, user and system.", cpuSeconds)
}

func runtimeMetric(source string) func() float64 {
	return func() float64 {
		s := []metrics.Sample{{Name: source}}
		metrics.Read(s)
		if s[0].Value.Kind() != metrics.KindUint64 {
			return math.NaN()
		}
		return float64(s[0].Value.Uint64())
	}
}

// residentBytes reads the second field of /proc/self/statm, in pages (proc(5)).
func residentBytes() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return math.NaN()
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return math.NaN()
	}
	pages, err := strconv.ParseUint(string(fields[1]), 10, 64)
	if err != nil {
		return math.NaN()
	}
	return float64(pages) * float64(os.Getpagesize())
}

func openFiles() float64 {
	d, err := os.Open("/proc/self/fd")
	if err != nil {
		return math.NaN()
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return math.NaN()
	}
	return float64(len(names) - 1) // without the one that lists them
}
