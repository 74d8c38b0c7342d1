package telemetry

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestProcess(t *testing.T) {
	m := NewMetrics()
	m.Process(time.UnixMilli(1234500))
	got := map[string]float64{}
	lines := bufio.NewScanner(strings.NewReader(scrape(t, m)))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if f, err := strconv.ParseFloat(value, 64); err == nil {
			got[name] = f
		}
	}
	if got["ananas_process_start_time_seconds"] != 1234.5 {
		t.Errorf("start time %v", got["ananas_process_start_time_seconds"])
	}
	for name, least := range map[string]float64{
		"ananas_process_goroutines":        2,
		"ananas_process_heap_bytes":        1 << 10,
		"ananas_process_go_memory_bytes":   1 << 20,
		"ananas_process_resident_bytes":    1 << 20,
		"ananas_process_open_files":        3,
		"ananas_process_cpu_seconds_total": 1e-6,
		"ananas_process_gc_cycles_total":   0,
	} {
		if v, ok := got[name]; !ok || !(v >= least) {
			t.Errorf("%s is %v, want at least %v", name, v, least)
		}
	}
	before := openFiles()
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := openFiles(); got != before+1 {
		t.Errorf("one more open file: %v, then %v", before, got)
	}
}
