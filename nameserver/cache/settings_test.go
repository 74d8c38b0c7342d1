package cache

import (
	"strings"
	"testing"
	"time"
)

func TestCompile(t *testing.T) {
	with := func(f func(*Settings)) Settings {
		s := Defaults()
		f(&s)
		return s
	}
	for _, tc := range []struct {
		what string
		in   Settings
		want string // part of the error; "": none
	}{
		{"defaults", Defaults(), ""},
		{"stale off", with(func(s *Settings) { s.Stale = 0 }), ""},
		{"no time at all", with(func(s *Settings) { s.MaxTTL = 0 }), "max_ttl: 0s is below 1s\n\thint: write max_ttl: 1s, or more"},
		{"a year", with(func(s *Settings) { s.MaxTTL = 365 * 24 * time.Hour }), "max_ttl: 8760h is above 672h\n\thint: write max_ttl: 672h, or less"},
		{"negative", with(func(s *Settings) { s.Stale = -time.Second }), "stale: -1s is below 0s"},
		{"stale too long", with(func(s *Settings) { s.Stale = 1000 * time.Hour }), "stale: 1000h is above 168h"},
		{"no denials", with(func(s *Settings) { s.NegativeMaxTTL = 0 }), "negative_max_ttl: 0s is below 1s"},
		{"long minimum", with(func(s *Settings) { s.MinTTL = 90 * time.Minute }), "min_ttl: 1h30m is above 1h"},
		{"crossed", with(func(s *Settings) { s.MaxTTL, s.MinTTL = time.Minute, time.Hour }), "min_ttl: 1h is above max_ttl, which is 1m\n\thint: lower min_ttl"},
		{"two at once", with(func(s *Settings) { s.MaxTTL, s.Stale = 0, -1 }), "stale: -1ns"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			table, err := Compile(tc.in)
			switch {
			case tc.want == "" && err != nil:
				t.Fatal(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Fatalf("error %v, want one with %q", err, tc.want)
			case tc.want != "" && table != nil:
				t.Fatal("a table in spite of the error")
			}
		})
	}
	// Denials are capped by max_ttl too, without making the file say it twice.
	table, err := Compile(with(func(s *Settings) { s.MaxTTL = time.Hour }))
	if err != nil || table.NegativeMaxTTL != time.Hour {
		t.Errorf("negative cap %v, %v; want max_ttl", table.NegativeMaxTTL, err)
	}
}
