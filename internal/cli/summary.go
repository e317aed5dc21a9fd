package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/openoms/openoms/internal/oms"
)

// summary is what became of a task.
type summary struct {
	Type         string
	TaskID       int64
	Status       string // in words
	ErrorCode    string // why it failed, "" otherwise
	ErrorMessage string
	FailedList   string // object at the destination that names the failed objects; "" when there is none
	Next         string // command that retries the failed objects
	progress
	findings  findings
	uncarried uncarried
}

// summaryJSON is the last line of --json. Sizes are bytes, spans milliseconds.
type summaryJSON struct {
	Type         string `json:"type"` // "summary"
	TaskID       int64  `json:"task_id"`
	Status       string `json:"status"`
	Found        int64  `json:"found"`
	FoundBytes   int64  `json:"found_bytes"`
	Migrated     int64  `json:"migrated"`
	Skipped      int64  `json:"skipped"`
	Failed       int64  `json:"failed"`
	MovedBytes   int64  `json:"moved_bytes"`
	ElapsedMS    int64  `json:"elapsed_ms"`
	ErrorCode    string `json:"error_code,omitempty"`
	ErrorMessage string `json:"error_message,omitempty"`
	FailedList   string `json:"failed_list,omitempty"`
	findingsJSON
	Uncarried map[string]int64 `json:"uncarried,omitempty"` // objects by what of their metadata was not carried
}

// shownFailures is how many failed objects a summary names.
const shownFailures = 20

// shownKey is how many characters of a key a summary shows.
const shownKey = 120

// conclude prints the summary with the failed objects and returns the fitting status: nil only for success.
func conclude(ctx context.Context, env *Env, opts watchOptions, s summary, failures failurePage) error {
	if s.Failed > 0 {
		if err := listFailures(ctx, shownFailures, failures, failureWriter(env, opts.json, shownKey)); err != nil {
			return err
		}
	}
	if err := s.write(env, opts.json); err != nil {
		return err
	}
	return s.outcome()
}

// write prints the summary.
func (s *summary) write(env *Env, asJSON bool) error { //nolint:revive // --json as the user gave it
	if asJSON {
		return writeJSON(env.Stdout, summaryJSON{
			Type: s.Type, TaskID: s.TaskID, Status: s.Status, Found: s.Found, FoundBytes: s.FoundBytes,
			Migrated: s.Migrated, Skipped: s.Skipped, Failed: s.Failed, MovedBytes: s.MovedBytes,
			ElapsedMS: s.Elapsed.Milliseconds(), ErrorCode: s.ErrorCode, ErrorMessage: s.ErrorMessage, FailedList: s.FailedList,
			findingsJSON: s.findings.json(), Uncarried: s.uncarried.json(),
		})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "task %d: %s\n", s.TaskID, s.Status)
	if text := s.findings.outcomes(); text != "" {
		fmt.Fprintf(&b, "  %s objects, %s, in %s\n  %s\n", formatCount(s.Found), formatBytes(s.FoundBytes), formatDuration(s.Elapsed), text)
	} else {
		fmt.Fprintf(&b, "  %s objects, %s: %s migrated, %s skipped, %s failed\n", formatCount(s.Found), formatBytes(s.FoundBytes),
			formatCount(s.Migrated), formatCount(s.Skipped), formatCount(s.Failed))
		fmt.Fprintf(&b, "  %s sent in %s%s\n", formatBytes(s.MovedBytes), formatDuration(s.Elapsed), s.average())
	}
	if s.findings.Filtered > 0 {
		fmt.Fprintf(&b, "  %s more, %s, left out by filters\n", formatCount(s.findings.Filtered), formatBytes(s.findings.FilteredBytes))
	}
	b.WriteString(s.uncarried.text())
	if s.ErrorCode != "" {
		fmt.Fprintf(&b, "  reason: %s (%s)\n", oms.Clean(s.ErrorMessage), oms.Clean(s.ErrorCode))
	}
	if s.Failed > 0 {
		if s.FailedList != "" {
			fmt.Fprintf(&b, "  failed objects are listed at the destination in %s\n", formatKey(s.FailedList))
		}
		if s.findings.mode == oms.ModeMigrate {
			fmt.Fprintf(&b, "  to retry them: %s\n", s.Next)
		}
	}
	_, err := fmt.Fprint(env.Stdout, b.String())
	return err
}

// average is the mean rate of a run that took long enough to have one.
func (s *summary) average() string {
	seconds := s.Elapsed.Seconds()
	if seconds < 0.1 {
		return ""
	}
	return fmt.Sprintf(", %s objects/s, %s/s", formatCount(int64(float64(s.Done)/seconds)), formatBytes(int64(float64(s.MovedBytes)/seconds)))
}

// outcome is the exit status of a command that waited for the task.
func (s *summary) outcome() error {
	switch {
	case s.Status == oms.StatusSucceeded.String():
		return nil
	case s.Status != oms.StatusFailed.String():
		return silent(statusInterrupted)
	case s.Failed > 0:
		return silent(statusIncomplete)
	default:
		return silent(statusUnreachable)
	}
}
