package admin

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/ananas-edge/ananas/nameserver/plugin/trial"
)

// ModuleSource tells of the modules that run in the path of queries.
type ModuleSource interface {
	// Modules lists what the settings in use have, by name.
	Modules(ctx context.Context) (ModuleList, error)

	// ModuleLogs returns the last lines that a module has logged here, the oldest first; "" is all modules.
	ModuleLogs(ctx context.Context, name string) ([]ModuleLine, error)

	// TryModule runs a new version of a module in the shadow of the one that runs: on queries that are answered meanwhile, or on those that next returns until it returns io.EOF. It tells reports, the first
	// when both are ready, and differences where they are wanted, and returns the last report, with the error by which it was ended, if it was. When tell returns an error, or ctx is done, nobody listens any more.
	TryModule(ctx context.Context, t Trial, next func() ([]trial.Message, error), tell func(TrialLine) error) (TrialReport, error)
}

// Module is a WebAssembly program, as this node has it.
type Module struct {
	Name    string   `json:"name"`
	Version string   `json:"version"` // of its manifest
	SHA256  string   `json:"sha256"`  // of its file, in hexadecimal
	Octets  int      `json:"octets"`
	Phases  []string `json:"phases"`
	Needs   []string `json:"needs"` // capabilities that it does not start without
	Wants   []string `json:"wants"` // data sets that it does without, if they are not granted
	Pure    bool     `json:"pure"`  // declared, and not found to be otherwise
	Fuel    int64    `json:"fuel"`  // that a call may take
	Uses    []Use    `json:"uses"`  // none: it is there, and runs nowhere
	Alarm   string   `json:"alarm,omitempty"`

	// Settings are those that it reads by its manifest, "*" for names that follow from others; null: its manifest does not say.
	Settings []string `json:"settings"`
}

// Use is where a module runs.
type Use struct {
	Phase    string            `json:"phase"`
	Place    int               `json:"place"` // among all plugins, from 1
	Mode     string            `json:"mode"`
	Grant    []string          `json:"grant"`
	Missing  []string          `json:"missing"` // of what it needs and wants: what is not granted
	Off      bool              `json:"off"`
	Out      bool              `json:"out"`    // it has failed too often
	Faults   uint64            `json:"faults"` // since the node began
	Verdicts map[string]uint64 `json:"verdicts"`
	Recent   []uint64          `json:"recent"`                // verdicts in each of the last [ModuleSpans] spans of [ModuleSpan], the newest last; none: it has not run for so long
	Fuel     int64             `json:"fuel_median,omitempty"` // that half of its calls take at most; 0: it was not called
}

// What is told of a module's past: ten minutes, in spans of ten seconds.
const (
	ModuleSpan  = 10 * time.Second
	ModuleSpans = 60
)

// ModuleData is a data set that modules may ask.
type ModuleData struct {
	Name    string `json:"name"`
	Format  string `json:"format"`  // hosts, domains, rpz or cidr
	Entries int    `json:"entries"` // names and prefixes

	// What became of its text. Names and Prefixes are in the list; of a response policy zone a name may be there twice, for itself and for those below it.
	Names         int `json:"names"`
	Prefixes      int `json:"prefixes"`
	Taken         int `json:"taken"`          // entries of the text that are in the list
	Skipped       int `json:"skipped"`        // entries that are well-formed and of no concern: localhost in a hosts file, SOA and NS records
	OtherTriggers int `json:"other_triggers"` // records of a response policy zone for addresses and name servers, which are not taken
	Duplicates    int `json:"duplicates"`     // entries that had been listed before
	Bad           int `json:"bad"`            // lines that can't be read and were left out

	Warnings []string `json:"warnings"` // what should be known of it

	Octets  int64    `json:"octets"`  // of its text
	SHA256  string   `json:"sha256"`  // of its text, in hexadecimal: which version it is
	Modules []string `json:"modules"` // that may ask it
}

// ModuleList is the answer of /api/v1/modules.
type ModuleList struct {
	Modules []Module     `json:"modules"`
	Data    []ModuleData `json:"data"` // that one of them may ask
}

// ModuleLine is what a module has logged, or what the node has to say of it: that a call failed.
type ModuleLine struct {
	Seq    uint64    `json:"seq"` // of all lines since the node began, from 1
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
	list, err := s.config.Modules.Modules(r.Context())
	if err != nil {
		return failure(problemFailed, r.Context(), err)
	}
	listed(&list.Modules)
	listed(&list.Data)
	for i := range list.Modules {
		m := &list.Modules[i]
		listed(&m.Phases)
		listed(&m.Needs)
		listed(&m.Wants)
		listed(&m.Uses)
		for k := range m.Uses {
			u := &m.Uses[k]
			listed(&u.Grant)
			listed(&u.Missing)
			listed(&u.Recent)
			if u.Verdicts == nil {
				u.Verdicts = map[string]uint64{}
			}
		}
	}
	for i := range list.Data {
		listed(&list.Data[i].Modules)
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

func (s *Server) moduleLog(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Modules == nil {
		return problemMissing.with("modules", "")
	}
	q := r.URL.Query()
	after, err := strconv.ParseUint(cmp.Or(q.Get("after"), "0"), 10, 64)
	if err != nil {
		return problemParameter.with("after is "+quote(q.Get("after")), "it is the seq of a line")
	}
	lines, err := s.config.Modules.ModuleLogs(r.Context(), q.Get("name"))
	if err != nil {
		return failure(problemFailed, r.Context(), err)
	}
	if n := len(lines); n > 0 && lines[n-1].Seq >= after { // else they are of a node that began anew, and all are new
		for len(lines) > 0 && lines[0].Seq <= after {
			lines = lines[1:]
		}
	}
	listed(&lines)
	writeJSON(w, http.StatusOK, ModuleLog{lines})
	return nil
}
