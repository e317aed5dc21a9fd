package httpapi

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// extendedBase is the path of extended tasks.
var extendedBase = "/ext/v1/" + project + "/tasks"

func TestCreateExtendedTask(t *testing.T) {
	h := newHarness(newFakeTasks())
	body := edit(t, create, "filters", `{"include_globs":["*.jpg"],"exclude_regex":["^tmp/"],"min_size":1,"max_size":10,"modified_after":1000,"min_age":3600}`)
	body = edit(t, body, "rename", `[{"strip_prefix":"a/"},{"match":"(x)","replace":"$1y"},{"case":"lower"}]`)
	body = edit(t, body, "dry_run", "true")
	body = edit(t, body, "tags", `"none"`)
	w := h.do("POST", extendedBase, body)
	checkAnswer(t, w)
	var created omsv2.CreateTaskResponse
	if err := json.Unmarshal(w.Body.Bytes(), &created); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	got := h.tasks.tasks[created.ID].Spec
	most := int64(10)
	want := &oms.Filters{
		IncludeGlobs: []string{"*.jpg"}, ExcludeRegex: []string{"^tmp/"}, MinSize: 1, MaxSize: &most,
		ModifiedAfter: time.UnixMilli(1000).UTC(), ModifiedBefore: testNow.UTC().Add(-time.Hour),
	}
	if !reflect.DeepEqual(got.Filters, want) || got.Mode != oms.ModeDryRun {
		t.Errorf("mode %q, filters %+v", got.Mode, got.Filters)
	}
	rename := []oms.RenameRule{{StripPrefix: "a/"}, {Match: "(x)", Replace: "$1y"}, {Case: oms.CaseLower}}
	if !reflect.DeepEqual(got.Rename, rename) {
		t.Errorf("rename %+v", got.Rename)
	}
	for _, bad := range []struct{ path, value, want string }{
		{"mode", `"test"`, "OMS.1003"},
		{"mode", `"migrate"`, "OMS.1003"}, // and dry_run
		{"mode", `"verify"`, "OMS.1003"},
		{"dry_run", `1`, "OMS.1010"},
		{"filters", `[]`, "OMS.1010"},
		{"filters.min_size", `-1`, "OMS.1003"},
		{"filters.include_globs", `[` + strings.Repeat(`"x",`, 100) + `"x"]`, "OMS.1003"},
		{"filters.include_globs", `[null]`, "OMS.1004"},
		{"filters.modified_before", `5`, "OMS.1003"}, // and min_age
		{"filters.max_age", `0`, "OMS.1003"},
		{"filters.min_age", `"1d"`, "OMS.1010"},
		{"rename", `[` + strings.Repeat(`{"add_prefix":"x"},`, 20) + `{"add_prefix":"x"}]`, "OMS.1003"},
		{"rename", `["x"]`, "OMS.1010"},
		{"rename", `[{"case":"Title"}]`, "OMS.1003"},
		{"tags", `"copy"`, "OMS.1003"},
		{"acl", `"copy"`, "OMS.1003"},
		{"src_node.bucket", "", "OMS.1004"},
	} {
		w := h.do("POST", extendedBase, edit(t, body, bad.path, bad.value))
		if checkAnswer(t, w); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), bad.want) {
			t.Errorf("%s %s: %d %s", bad.path, bad.value, w.Code, w.Body)
		}
	}
}

// What a task found out is shown in the words of its mode, and nothing of it looks like a migration.
func TestShowExtendedTask(t *testing.T) {
	h := newHarness(newFakeTasks())
	found := oms.Findings{
		Filtered: 9, FilteredBytes: 90, Absent: 2, AbsentBytes: 20, Differing: 1, DifferingBytes: 10, Unproved: 1, UnprovedBytes: 5,
	}
	for i, mode := range []oms.TaskMode{oms.ModeMigrate, oms.ModeDryRun, oms.ModeVerify} {
		id := int64(i + 1)
		h.tasks.tasks[id] = oms.Task{
			ID: id, ProjectID: project, Status: oms.StatusSucceeded,
			Spec:     oms.TaskSpec{Mode: mode, Filters: &oms.Filters{MinSize: 1}, Rename: []oms.RenameRule{{AddPrefix: "a"}}},
			Counters: oms.Counters{Listed: 8, Skipped: 8, ListedBytes: 80, SkippedBytes: 80, Findings: found},
		}
	}
	h.tasks.conflicts = map[int64][]oms.NameConflict{1: {{Reason: oms.NameTaken, Key: "b\xff", Other: "a", Name: "c"}}}
	show := func(id int) omsv2.ExtendedTask {
		t.Helper()
		w := h.do("GET", extendedBase+"/"+strconv.Itoa(id), "")
		checkAnswer(t, w)
		var v omsv2.ExtendedTask
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if v.FilteredNum != 9 || v.FilteredSize != 90 || v.Filters == nil || v.Filters.MinSize != 1 || len(v.Rename) != 1 || v.Task.SuccessfulNum != 0 {
			t.Errorf("task %d: %+v", id, v)
		}
		return v
	}
	if v := show(1); v.Mode != omsv2.ModeMigrate || v.DryRun != nil || v.Verification != nil ||
		!reflect.DeepEqual(v.NameConflicts, []omsv2.NameConflict{{Reason: "same_name", Key: `"b\xff"`, OtherKey: "a", Name: "c"}}) {
		t.Errorf("got %+v", v)
	}
	want := omsv2.DryRunResult{
		WouldCopyNum: 3, WouldCopySize: 30, WouldOverwriteNum: 1, WouldOverwriteSize: 10, WouldSkipNum: 5, WouldSkipSize: 50,
	}
	if v := show(2); v.Mode != omsv2.ModeDryRun || v.DryRun == nil || *v.DryRun != want || v.Verification != nil {
		t.Errorf("got %+v", v)
	}
	equal := omsv2.VerificationResult{
		EqualNum: 8, EqualSize: 80, UnprovedNum: 1, UnprovedSize: 5, MissingNum: 2, MissingSize: 20, DifferentNum: 1, DifferentSize: 10,
	}
	if v := show(3); v.Mode != omsv2.ModeVerify || v.Verification == nil || *v.Verification != equal || v.DryRun != nil {
		t.Errorf("got %+v", v)
	}
	if w := h.do("GET", extendedBase+"/9", ""); !strings.Contains(w.Body.String(), "OMS.1009") {
		t.Errorf("unknown task: %d %s", w.Code, w.Body)
	}
}
