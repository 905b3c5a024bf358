package recorder

import "errors"

// Why a recording could not begin or could not be kept. Every error of Run that has one of
// these causes is an *Error, whose text is one sentence for the user.
var (
	ErrOptions              = errors.New("bad option")
	ErrNotRoot              = errors.New("not permitted")
	ErrCapability           = errors.New("capability missing")
	ErrNoBTF                = errors.New("kernel has no BTF")
	ErrKernel               = errors.New("kernel refuses the programs")
	ErrOutput               = errors.New("store cannot be written")
	ErrCommandNotFound      = errors.New("command not found")
	ErrCommandNotExecutable = errors.New("command cannot be executed")
)

// Error is a failure with its cause and a sentence: what failed, where, and what to do.
type Error struct {
	Cause error // one of the causes above
	Text  string
	Err   error // what the system said, nil when it said nothing
}

func (e *Error) Error() string { return e.Text }

// Unwrap makes both the cause and what the system said visible to errors.Is.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Cause}
	}
	return []error{e.Cause, e.Err}
}
