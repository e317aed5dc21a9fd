package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"github.com/openoms/openoms/internal/oms"
)

// callerError carries an error of a caller's function through a transaction unchanged.
type callerError struct{ err error }

func (e callerError) Error() string { return e.err.Error() }
func (e callerError) Unwrap() error { return e.err }

// wrap turns an error of the driver into an *oms.Error. Errors that are one already, errors of callers and the
// end of ctx stay what they are.
func wrap(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if own, ok := errors.AsType[callerError](err); ok {
		return own.err
	}
	if _, ok := errors.AsType[*oms.Error](err); ok {
		return err
	}
	if cause := ctx.Err(); cause != nil && (oms.Canceled(err) || errors.Is(err, sql.ErrTxDone) || interrupted(err)) {
		return fmt.Errorf("%s: %w", op, cause)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return &oms.Error{Op: op, Kind: oms.NotFound}
	}
	return &oms.Error{Op: op, Kind: kindOf(err), Err: err}
}

// noTask says that the project has no such task (OMS v2 errors: OMS.1009).
func noTask(id int64) error {
	return &oms.Error{Op: "find task", Key: strconv.FormatInt(id, 10), Kind: oms.NotFound, Code: "OMS.1009", Msg: "resource not found"}
}

// noGroup is the answer to a group that has no tasks in the project.
func noGroup(id string) error {
	return &oms.Error{Op: "find task group", Key: id, Kind: oms.NotFound, Code: "OMS.1009", Msg: "resource not found"}
}
