package plugin

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ananas-edge/ananas/wasm"
)

// StartError is what a module's ananas_start returned, if not 0: most often that it can't use its settings.
type StartError struct {
	Code int32    // its own
	Said []string // the last lines that it said by then
}

func (e *StartError) Error() string {
	return fmt.Sprintf("ananas_start: %v: %d%s", errReturned, e.Code, saidText(e.Said))
}

// startFault is what ended the start of a module, with what that said by then.
type startFault struct {
	err  error
	said []string
}

func (e *startFault) Error() string { return e.err.Error() + saidText(e.said) }

func (e *startFault) Unwrap() error { return e.err }

// SaidAtStart returns what a module said at a start that failed: its last lines. nil: nothing, or the error is another one.
func SaidAtStart(err error) []string {
	var refused *StartError
	var fault *startFault
	switch {
	case errors.As(err, &refused):
		return refused.Said
	case errors.As(err, &fault):
		return fault.said
	}
	return nil
}

// saidText is what stands behind the error of a start.
func saidText(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	quoted := make([]string, len(lines))
	for i, l := range lines {
		quoted[i] = strconv.Quote(l)
	}
	return "; it says " + strings.Join(quoted, ", ")
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
