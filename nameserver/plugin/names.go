package plugin

import (
	"fmt"
	"slices"

	"github.com/ananas-edge/ananas/internal/strictyaml"
)

// CheckNames finds what is wrong with the names of modules alone, with no file of theirs read: one that is there twice, and one that plugins have run and that is not there. It is for settings that can't be compiled since other values of
// theirs are wrong, so that all of it is told at once. The error is a [*strictyaml.Errors] with paths below `settings`.
func CheckNames(modules []Module, plugins []Plugin) error {
	var e strictyaml.Errors
	var names []string
	for i := range modules {
		name := modules[i].Name
		if slices.Contains(names, name) {
			addTwice(&e, i, name)
			continue
		}
		names = append(names, name)
	}
	for i := range plugins {
		if name := plugins[i].Module; name != "" && !slices.Contains(names, name) {
			addUnknown(&e, i, name, names)
		}
	}
	return e.OrNil()
}

// addTwice says that a module is there twice.
func addTwice(e *strictyaml.Errors, i int, name string) {
	e.Addf(fmt.Sprintf("modules[%d].name", i), "remove one of the two", "there are two modules %q", name)
}

// addUnknown says that a plugin runs a module that is not there.
func addUnknown(e *strictyaml.Errors, i int, name string, names []string) {
	hint := "name it in modules, with its file"
	if near := strictyaml.Nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	e.Addf(fmt.Sprintf("plugins[%d].module", i), hint, "there is no module %q", name)
}
