package telemetry

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLogIsJSONAwayFromATerminal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	log := NewLogger(f, slog.LevelInfo)
	log.Debug("not shown")
	log.Info("shown", "zone", "example.")
	text, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), "\n") != 1 {
		t.Fatalf("want one line, got %q", text)
	}
	var record map[string]any
	if err := json.Unmarshal(text, &record); err != nil {
		t.Fatal(err)
	}
	if record["msg"] != "shown" || record["zone"] != "example." {
		t.Errorf("got %v", record)
	}
}
