package admin

import (
	"context"
	"net/http"
	"time"
)

// ModuleSource tells of the modules that run in the path of queries.
type ModuleSource interface {
	// Modules lists what the settings in use have, by name.
	Modules(ctx context.Context) ([]Module, error)

	// ModuleLogs returns the last lines that a module has logged here, the oldest first; "" is all modules.
	ModuleLogs(ctx context.Context, name string) ([]ModuleLine, error)
}

// Module is a WebAssembly program, as this node has it.
type Module struct {
	Name    string   `json:"name"`
	Version string   `json:"version"` // of its manifest
	SHA256  string   `json:"sha256"`  // of its file, in hexadecimal
	Octets  int      `json:"octets"`
	Phases  []string `json:"phases"`
	Needs   []string `json:"needs"`
	Pure    bool     `json:"pure"` // declared, and not found to be otherwise
	Uses    []Use    `json:"uses"` // none: it is there, and runs nowhere
	Alarm   string   `json:"alarm,omitempty"`
}

// Use is where a module runs.
type Use struct {
	Phase    string            `json:"phase"`
	Place    int               `json:"place"` // among all plugins, from 1
	Mode     string            `json:"mode"`
	Grant    []string          `json:"grant"`
	Off      bool              `json:"off"`
	Out      bool              `json:"out"`    // it has failed too often
	Faults   uint64            `json:"faults"` // since the node began
	Verdicts map[string]uint64 `json:"verdicts"`
}

// ModuleList is the answer of /api/v1/modules.
type ModuleList struct {
	Modules []Module `json:"modules"`
}

// ModuleLine is what a module has logged.
type ModuleLine struct {
	Time   time.Time `json:"time"`
	Module string    `json:"module"`
	Level  string    `json:"level"` // debug, info, warn or error
	Text   string    `json:"text"`
}

// ModuleLog is the answer of /api/v1/modules/log.
type ModuleLog struct {
	Lines []ModuleLine `json:"lines"`
}

func (s *Server) modules(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Modules == nil {
		return problemMissing.with("modules", "")
	}
	all, err := s.config.Modules.Modules(r.Context())
	if err != nil {
		return failure(problemFailed, r.Context(), err)
	}
	listed(&all)
	for i := range all {
		m := &all[i]
		listed(&m.Phases)
		listed(&m.Needs)
		listed(&m.Uses)
		for k := range m.Uses {
			listed(&m.Uses[k].Grant)
			if m.Uses[k].Verdicts == nil {
				m.Uses[k].Verdicts = map[string]uint64{}
			}
		}
	}
	writeJSON(w, http.StatusOK, ModuleList{all})
	return nil
}

func (s *Server) moduleLog(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Modules == nil {
		return problemMissing.with("modules", "")
	}
	lines, err := s.config.Modules.ModuleLogs(r.Context(), r.URL.Query().Get("name"))
	if err != nil {
		return failure(problemFailed, r.Context(), err)
	}
	listed(&lines)
	writeJSON(w, http.StatusOK, ModuleLog{lines})
	return nil
}
