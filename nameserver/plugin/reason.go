package plugin

import (
	"errors"
	"fmt"

	"github.com/ananas-edge/ananas/wasm"
)

// StartError is what a module's ananas_start returned, if not 0: most often that it can't use its settings.
type StartError struct {
	Code int32 // its own
}

func (e *StartError) Error() string {
	return fmt.Sprintf("ananas_start: %v: %d", errReturned, e.Code)
}

// Reason names, in a word or two, why a call failed: a cause of the sandbox ([wasm.Cause]), "verdict" for what is no verdict, "group" for a verdict with a group that is not there, "returned" for an error that the module returned, "start N" for an error of its start. "" if the module
// is not at fault.
func Reason(err error) string {
	var fault *wasm.Fault
	var refused *StartError
	switch {
	case errors.As(err, &refused):
		return fmt.Sprintf("start %d", refused.Code)
	case errors.As(err, &fault):
		return string(fault.Cause)
	case errors.Is(err, errGroup):
		return "group"
	case errors.Is(err, errVerdict):
		return "verdict"
	case errors.Is(err, errReturned):
		return "returned"
	}
	return ""
}
