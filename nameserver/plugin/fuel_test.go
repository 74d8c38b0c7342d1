package plugin_test

import (
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/nameserver/plugin"
)

// Settings that give a module less fuel than its manifest asks for are refused, with the mend.
func TestFuelOfManifest(t *testing.T) {
	module := guest(t, "acts", onQuery+"fuel: 60000\n")
	for fuel, want := range map[int64]string{
		0:      `modules[0].limits.fuel: module "acts" may need 60000 units of fuel for a call, and has 50000`,
		59_999: `modules[0].limits.fuel: module "acts" may need 60000 units of fuel for a call, and has 59999`,
		60_000: "",
	} {
		_, err := plugin.Compile([]plugin.Module{{Name: "acts", File: "acts", Limits: plugin.Limits{Fuel: fuel}}}, nil, nil, filesOf(func(string) []byte { return module }))
		if (err == nil) != (want == "") || err != nil && !(strings.Contains(err.Error(), want) && strings.Contains(err.Error(), "hint: set it to 60000")) {
			t.Errorf("with %d: %v", fuel, err)
		}
	}
}
