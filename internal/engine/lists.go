package engine

import (
	"bufio"
	"context"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/openoms/openoms/internal/listfile"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/transfer"
)

// listPage is how many failures are read at a time.
const listPage = 1000

// writeFailedList writes the list of failed objects into the destination bucket (OMS v2, 6.10). What came of it is
// in the returned record: OMS.0305 when there are more failures than a list may hold, OMS.0304 when it could not
// be written. The error is why ctx ended.
func (e *Engine) writeFailedList(ctx context.Context, t oms.Task, dst storage.Writer, abilities transfer.Abilities, failures int64) (oms.FailedList, error) {
	usable := failures <= oms.MaxRecordedFails
	key := listKey(t, oms.ListFailed, e.clock().UnixMilli())
	text, w := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		w.CloseWithError(e.failedLines(ctx, t, w))
	}()
	err := transfer.StoreStream(ctx, dst, abilities, key, text, storage.Attrs{ContentType: "text/plain"})
	_ = text.Close() // lets the writing side go; an io.PipeReader closes without error
	<-written
	switch {
	case ctx.Err() != nil:
		return oms.FailedList{}, context.Cause(ctx)
	case err != nil:
		e.log.WarnContext(ctx, "list of failed objects was not written", "task_id", t.ID, "key", key, "err", err)
		usable = false
		return oms.FailedList{Result: &usable, Code: "OMS.0304"}, nil
	case !usable:
		return oms.FailedList{Result: &usable, Key: key, Code: "OMS.0305"}, nil
	}
	return oms.FailedList{Result: &usable, Key: key}, nil
}

// failedLines writes a line for each failure, the first 100,000.
func (e *Engine) failedLines(ctx context.Context, t oms.Task, w io.Writer) error {
	buf := bufio.NewWriter(w)
	after := ""
	for left := oms.MaxRecordedFails; left > 0; {
		var page []oms.Failure
		err := e.persist(ctx, "read failures", func(ctx context.Context) (err error) {
			page, err = e.store.Failures(ctx, t.ID, after, min(listPage, left), 0)
			return err
		})
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		for _, f := range page {
			f.Key = t.Spec.Type.FailureName(f.Key)
			if _, err := buf.WriteString(failedLine(f, e.opts.Zone)); err != nil {
				return err
			}
		}
		left -= len(page)
		after = page[len(page)-1].Key
	}
	return buf.Flush()
}

// failedLine returns the line of a failure: code, time, name encoded, name, cause, separated by tabs.
func failedLine(f oms.Failure, zone *time.Location) string {
	at := time.UnixMilli(f.At).In(zone).Format(listfile.TimeFormat)
	return strings.Join([]string{plain(f.Code), at, encodeName(f.Key), plain(f.Key), plain(f.Message)}, "\t") + "\n"
}

// plain returns the text fit for a column: what could break a line, a column or the encoding is "?". The encoded
// column beside it has the exact bytes.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || r == '\u2028' || r == '\u2029' {
			return '?'
		}
		return r
	}, s)
}

// encodeName returns a key as list files name it.
func encodeName(key string) string { return string(listfile.AppendName(nil, key)) }
