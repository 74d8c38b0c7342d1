package cache

import (
	"time"

	"github.com/ananas-edge/ananas/internal/strictyaml"
)

// Settings is the section `cache`. All of it may change at any time; a change applies to what is stored and asked from then
// on. How many bytes the cache takes is no setting but a property of the node (node.cache).
type Settings struct {
	// MaxTTL cuts the time that anything is kept as live. A day: what changes less often than that is asked for once a day,
	// and who published a wrong record with a TTL of a week is heard after a day.
	MaxTTL time.Duration `yaml:"max_ttl"`
	// MinTTL lengthens it. Dangerous above some seconds: it keeps records alive that their owner has withdrawn.
	MinTTL time.Duration `yaml:"min_ttl"`
	// NegativeMaxTTL cuts the time that denials are kept. RFC 2308 section 5: one to three hours have been found to work well.
	NegativeMaxTTL time.Duration `yaml:"negative_max_ttl"`
	// Stale is how long an entry stays after it has expired, for when no server answers (RFC 8767; its section 5 suggests one
	// to three days). 0 turns it off.
	Stale time.Duration `yaml:"stale"`
}

// Bounds of the settings.
const (
	maxMaxTTL = 28 * 24 * time.Hour // RFC 8767 section 4: caps are on the order of days to weeks
	maxMinTTL = time.Hour           // more than that breaks what its owners do on purpose
	maxStale  = 7 * 24 * time.Hour
)

// Defaults returns the settings of a file that says nothing.
func Defaults() Settings {
	return Settings{MaxTTL: 24 * time.Hour, NegativeMaxTTL: 3 * time.Hour, Stale: 24 * time.Hour}
}

// Table is the compiled form of Settings; nobody changes it.
type Table struct {
	MaxTTL, MinTTL, NegativeMaxTTL, Stale time.Duration
}

// Compile checks s. The error is a [*strictyaml.Errors] whose paths are the keys of the section.
func Compile(s Settings) (*Table, error) {
	var errs strictyaml.Errors
	between := func(key string, v, low, high time.Duration) {
		if v < low {
			errs.Addf(key, "write "+key+": "+text(low)+", or more", "%v is below %v", text(v), text(low))
		} else if v > high {
			errs.Addf(key, "write "+key+": "+text(high)+", or less", "%v is above %v", text(v), text(high))
		}
	}
	between("max_ttl", s.MaxTTL, time.Second, maxMaxTTL)
	between("min_ttl", s.MinTTL, 0, maxMinTTL)
	between("negative_max_ttl", s.NegativeMaxTTL, time.Second, maxMaxTTL)
	between("stale", s.Stale, 0, maxStale)
	if s.MinTTL > s.MaxTTL && len(errs.List) == 0 {
		errs.Addf("min_ttl", "lower min_ttl, or raise max_ttl", "%v is above max_ttl, which is %v", text(s.MinTTL), text(s.MaxTTL))
	}
	if err := errs.OrNil(); err != nil {
		return nil, err
	}
	return &Table{MaxTTL: s.MaxTTL, MinTTL: s.MinTTL, NegativeMaxTTL: min(s.NegativeMaxTTL, s.MaxTTL), Stale: s.Stale}, nil
}

// text is a duration as one writes it: 24h, not 24h0m0s.
func text(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if n := len(s) - len(zero) + 1; n > 0 && s[n-1:] == zero {
			s = s[:n]
		}
	}
	return s
}
