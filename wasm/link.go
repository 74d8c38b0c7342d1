package wasm

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"github.com/ananas-edge/ananas/internal/weave"
)

// Export is a function that a guest has for its host to call.
type Export struct {
	Name            string
	Params, Results []api.ValueType
	Optional        bool
}

// ImportError is the error for what a module wants and does not get.
type ImportError struct {
	Module, Name string // of the import
	Why          string
	Mend         string
}

func (e *ImportError) Error() string { return fmt.Sprintf("import %s.%s: %s", e.Module, e.Name, e.Why) }

// Hint says what to do now.
func (e *ImportError) Hint() string { return e.Mend }

// checkImports holds what a module wants to what is offered and granted.
func (s *Spec) checkImports(m *weave.Module) error {
	for _, i := range m.Imports {
		refuse := func(why, mend string) error { return &ImportError{i.Module, i.Name, why, mend} }
		if i.Kind != weave.Func {
			return refuse("it is a "+i.Kind.String()+", and the host has functions only", "have the module bring its own "+i.Kind.String())
		}
		at := slices.IndexFunc(s.Functions, func(f Function) bool { return f.Module == i.Module && f.Name == i.Name })
		if at < 0 {
			return refuse("there is no such function", s.offered())
		}
		f := &s.Functions[at]
		if !bytes.Equal(i.Type.Params, f.Params) || !bytes.Equal(i.Type.Results, f.Results) {
			return refuse(fmt.Sprintf("it is declared as %s, and is %s", typeText(i.Type.Params, i.Type.Results), typeText(f.Params, f.Results)),
				"build the module with the SDK of this version of the interface")
		}
		if !granted(f.Capability, s.Grants) {
			return refuse(fmt.Sprintf("it needs the capability %q, which was not granted", f.Capability), fmt.Sprintf("add %q to the module's grant, if it may have it", f.Capability))
		}
	}
	return nil
}

// offered says what there is.
func (s *Spec) offered() string {
	var names []string
	for _, f := range s.Functions {
		if f.Module != WASI {
			names = append(names, f.String())
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return "the host offers no functions here"
	}
	return "the host offers " + strings.Join(names, ", ")
}

// checkExports holds what a module has to what the host calls.
func (s *Spec) checkExports(has map[string]api.FunctionDefinition) error {
	for _, e := range s.Exports {
		f := has[e.Name]
		switch {
		case f == nil && !e.Optional:
			return hinted{fmt.Errorf("the module has no function %q %s", e.Name, typeText(e.Params, e.Results)), "export it; docs/module-abi.md lists what a module must have"}
		case f != nil && (!bytes.Equal(f.ParamTypes(), e.Params) || !bytes.Equal(f.ResultTypes(), e.Results)):
			return fmt.Errorf("the module's function %q is %s, and must be %s", e.Name, typeText(f.ParamTypes(), f.ResultTypes()), typeText(e.Params, e.Results))
		}
	}
	return nil
}
