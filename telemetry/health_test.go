package telemetry

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestHealth(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(h *Health)
		want string
	}{
		{"starting", func(h *Health) {},
			`{"ready":false,"checks":[{"name":"start","ok":false,"error":"the node is starting"}],"warnings":[]}`},
		{"ready", func(h *Health) { h.Check("dns", func() error { return nil }) },
			`{"ready":true,"checks":[{"name":"dns","ok":true}],"warnings":[]}`},
		{"one of two fails", func(h *Health) {
			h.Check("store", func() error { return nil })
			h.Check("dns", func() error { return errors.New("no socket") })
		}, `{"ready":false,"checks":[{"name":"dns","ok":false,"error":"no socket"},{"name":"store","ok":true}],"warnings":[]}`},
		{"a warning does not stop it", func(h *Health) {
			h.Check("dns", func() error { return nil })
			h.Warn("testing clock", func() string { return "the clock is fixed" })
			h.Warn("disk", func() string { return "" })
		}, `{"ready":true,"checks":[{"name":"dns","ok":true}],"warnings":[{"name":"testing clock","text":"the clock is fixed"}]}`},
		{"replaced", func(h *Health) {
			h.Check("dns", func() error { return errors.New("draining") })
			h.Check("dns", func() error { return nil })
		}, `{"ready":true,"checks":[{"name":"dns","ok":true}],"warnings":[]}`},
		{"a check that panics has failed", func(h *Health) {
			h.Check("dns", func() error { panic("oops") })
			h.Warn("disk", func() string { panic("oops") })
		}, `{"ready":false,"checks":[{"name":"dns","ok":false,"error":"the check panicked: oops"}],"warnings":[{"name":"disk","text":"the check panicked: oops"}]}`},
	} {
		h := NewHealth()
		c.set(h)
		got, err := json.Marshal(h.Report())
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}
