package omsv2

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// Modes of CreateExtendedTaskRequest.
const (
	ModeMigrate = "migrate"
	ModeDryRun  = "dry_run"
	ModeVerify  = "verify"
)

// CreateExtendedTaskRequest asks for a task with rules that OMS v2 does not have. It is an extension of this service: the
// members of CreateTask, and those of ExtendedRules.
type CreateExtendedTaskRequest struct {
	CreateTaskRequest
	ExtendedRules
}

// ExtendedRules are the rules of a task that OMS v2 does not have.
type ExtendedRules struct {
	// migrate (default); dry_run decides and writes nothing; verify compares both sides and writes nothing.
	Mode string `json:"mode,omitempty"`
	// The same as the mode dry_run.
	DryRun bool `json:"dry_run,omitempty"`
	// Which of the selected objects are taken; missing: all.
	Filters *Filters `json:"filters,omitempty"`
	// How keys change on their way, in order; then the save prefix is put before.
	Rename []RenameRule `json:"rename,omitempty"`
	// none: tags of objects stay behind. The only value so far.
	Tags string `json:"tags,omitempty"`
	// none: access rights of objects stay behind. The only value so far.
	ACL string `json:"acl,omitempty"`
}

// Filters say which objects a task takes: those whose key some include matches, or all without includes, and no exclude,
// and whose size and time are within the bounds.
type Filters struct {
	// Globs of keys: * and ? stop at a slash, ** does not; without a slash the last part of a key is matched.
	IncludeGlobs []string `json:"include_globs,omitempty"`
	// Globs of keys that are left out.
	ExcludeGlobs []string `json:"exclude_globs,omitempty"`
	// Regular expressions in the syntax of RE2 that match anywhere in a key.
	IncludeRegex []string `json:"include_regex,omitempty"`
	// Regular expressions of keys that are left out.
	ExcludeRegex []string `json:"exclude_regex,omitempty"`
	// Least size in bytes.
	MinSize int64 `json:"min_size,omitempty"`
	// Greatest size in bytes.
	MaxSize *int64 `json:"max_size,omitempty"`
	// Only objects modified later; Unix milliseconds.
	ModifiedAfter int64 `json:"modified_after,omitempty"`
	// Only objects modified earlier; Unix milliseconds.
	ModifiedBefore int64 `json:"modified_before,omitempty"`
	// Only objects older than so many seconds when the task is created.
	MinAge int64 `json:"min_age,omitempty"`
	// Only objects younger than so many seconds when the task is created.
	MaxAge int64 `json:"max_age,omitempty"`
}

// RenameRule changes keys; exactly one of strip_prefix, add_prefix, match and case is given.
type RenameRule struct {
	// Taken away from keys that start with it.
	StripPrefix string `json:"strip_prefix,omitempty"`
	// Put before keys.
	AddPrefix string `json:"add_prefix,omitempty"`
	// Regular expression in the syntax of RE2, all of whose matches are replaced.
	Match string `json:"match,omitempty"`
	// What matches are replaced by: $1 or ${name} is a group, $$ a dollar sign.
	Replace string `json:"replace,omitempty"`
	// lower or upper: the letters A to Z become so.
	Case string `json:"case,omitempty"`
}

// ExtendedTask is a task with what OMS v2 does not show.
type ExtendedTask struct {
	// The task as ShowTask shows it.
	Task Task `json:"task"`
	// migrate, dry_run or verify.
	Mode string `json:"mode"`
	// Which objects are taken; null: all that are selected.
	Filters *Filters `json:"filters"`
	// How keys change.
	Rename []RenameRule `json:"rename"`
	// Objects that the filters left out; they are in no other count.
	FilteredNum int64 `json:"filtered_num"`
	// Their bytes.
	FilteredSize int64 `json:"filtered_size"`
	// What a dry run found; null for other modes.
	DryRun *DryRunResult `json:"dry_run"`
	// What a verification found; null for other modes.
	Verification *VerificationResult `json:"verification"`
	// Objects that the rename rules give no name of their own, at most 100; nothing is migrated then.
	NameConflicts []NameConflict `json:"name_conflicts"`
}

// DryRunResult is what a migration would do, as far as it is known.
type DryRunResult struct {
	// Objects that would be copied.
	WouldCopyNum int64 `json:"would_copy_num"`
	// Their bytes.
	WouldCopySize int64 `json:"would_copy_size"`
	// Those of them that would replace an object at the destination.
	WouldOverwriteNum int64 `json:"would_overwrite_num"`
	// Their bytes.
	WouldOverwriteSize int64 `json:"would_overwrite_size"`
	// Objects that would be skipped.
	WouldSkipNum int64 `json:"would_skip_num"`
	// Their bytes.
	WouldSkipSize int64 `json:"would_skip_size"`
}

// VerificationResult is how source and destination compare, as far as it is known. Every object that is missing or
// differs is a failed object of the task.
type VerificationResult struct {
	// Objects that are equal.
	EqualNum int64 `json:"equal_num"`
	// Their bytes.
	EqualSize int64 `json:"equal_size"`
	// Those of them whose size only could be compared, as the sides tell no checksum of one kind.
	UnprovedNum int64 `json:"unproved_num"`
	// Their bytes.
	UnprovedSize int64 `json:"unproved_size"`
	// Objects that the destination does not have.
	MissingNum int64 `json:"missing_num"`
	// Their bytes.
	MissingSize int64 `json:"missing_size"`
	// Objects that differ.
	DifferentNum int64 `json:"different_num"`
	// Their bytes at the source.
	DifferentSize int64 `json:"different_size"`
}

// NameConflict is an object that the rename rules give no usable name of its own. Keys that JSON cannot carry are shown
// as well as it can.
type NameConflict struct {
	// same_name, too_long or empty.
	Reason string `json:"reason"`
	// Source key.
	Key string `json:"key"`
	// Another source key with the same name; "" unless reason is same_name.
	OtherKey string `json:"other_key"`
	// Key at the destination.
	Name string `json:"name"`
}

// CreateExtendedTask creates a task with rules that OMS v2 does not have, and starts it. It is an extension of this
// service.
func (c *Client) CreateExtendedTask(ctx context.Context, req *CreateExtendedTaskRequest) (*CreateTaskResponse, error) {
	return call[CreateTaskResponse](ctx, c, request{op: "create task", method: http.MethodPost, path: c.extended(), body: req})
}

// ShowExtendedTask returns a task with what OMS v2 does not show. It is an extension of this service.
func (c *Client) ShowExtendedTask(ctx context.Context, id int64) (*ExtendedTask, error) {
	return call[ExtendedTask](ctx, c, request{op: "show task", method: http.MethodGet, path: c.extended() + "/" + strconv.FormatInt(id, 10)})
}

func (c *Client) extended() string { return "/ext/v1/" + url.PathEscape(c.ProjectID) + "/tasks" }
