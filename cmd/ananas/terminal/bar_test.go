package terminal

import "testing"

func TestBar(t *testing.T) {
	for _, c := range []struct {
		share float64
		want  string
	}{{0, ""}, {-1, ""}, {0.0001, "▏"}, {0.125, "▌"}, {0.5, "██"}, {0.72, "██▉"}, {1, "████"}, {7, "████"}} {
		if got := Bar(c.share, 4); got != c.want {
			t.Errorf("%v is %q, want %q", c.share, got, c.want)
		}
	}
}
