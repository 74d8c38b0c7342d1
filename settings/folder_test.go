package settings

import (
	"errors"
	"testing"
)

// What rules may name is a setting, a folder of them, or an entry of a list; all else has a mend.
func TestCheckFolder(t *testing.T) {
	for _, key := range []string{"forward", "forward/corp.example", "cache", "cache/stale", "recursion/limits", "recursion/limits/jobs", "access/allow"} {
		if err := CheckFolder(key); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	for key, want := range map[string]string{
		"": "", "forwrad": "did you mean forward?", "cache/stal": "did you mean cache/stale?", "forward/a/b": "", "cache/stale/x": "", "~node": "", "recursion/limitz": "did you mean recursion/limits?",
	} {
		err := CheckFolder(key)
		var hinted interface{ Hint() string }
		if !errors.As(err, &hinted) || want != "" && hinted.Hint() != want {
			t.Errorf("%q: %v", key, err)
		}
	}
}
