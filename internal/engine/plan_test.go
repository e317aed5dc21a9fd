package engine

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openoms/openoms/internal/oms"
)

func TestPlanRanges(t *testing.T) {
	t.Parallel()
	const gen = 4
	prefix := func(keys ...string) oms.TaskSpec {
		return oms.TaskSpec{Type: oms.TypePrefix, Src: oms.SourceNode{Keys: keys}}
	}
	object := func(keys ...string) oms.TaskSpec {
		return oms.TaskSpec{Type: oms.TypeObject, Src: oms.SourceNode{Keys: keys}}
	}
	done := oms.Range{Seq: 3, Kind: oms.RangeKeys, Done: true}
	for _, c := range []struct {
		name     string
		spec     oms.TaskSpec
		existing []oms.Range
		want     []oms.Range
	}{
		{"whole bucket", prefix(""), nil, []oms.Range{{Seq: 1, Kind: oms.RangeKeys}}},
		{"overlapping prefixes", prefix("b", "a/b", "a/", "a/"), nil, []oms.Range{
			{Seq: 1, Kind: oms.RangeKeys, Prefix: "a/"}, {Seq: 2, Kind: oms.RangeKeys, Prefix: "b"},
		}},
		{"names and folders", object("z", "a/", "a/1", "b"), nil, []oms.Range{
			{Seq: 1, Kind: oms.RangeKeys, Prefix: "a/"}, {Seq: 2, Kind: oms.RangeNames},
		}},
		{"an object task over the whole bucket", object(""), nil, []oms.Range{{Seq: 1, Kind: oms.RangeKeys}}},
		{"over all failures", prefix(""), []oms.Range{done}, []oms.Range{{Seq: 4, Kind: oms.RangeFailures}}},
		{
			"beside what is left of the failures", prefix(""),
			[]oms.Range{
				done,
				{Seq: 9, Kind: oms.RangeFailures, Cur: "k", End: "p"},
				{Seq: 5, Kind: oms.RangeFailures, Cur: "c", End: "d"},
				{Seq: 6, Kind: oms.RangeFailures, Cur: "d", End: "e"},
				{Seq: 7, Kind: oms.RangeFailures, Done: true},
			},
			[]oms.Range{
				{Seq: 10, Kind: oms.RangeFailures, End: "c"},
				{Seq: 11, Kind: oms.RangeFailures, Start: "e", Cur: "e", End: "k"},
				{Seq: 12, Kind: oms.RangeFailures, Start: "p", Cur: "p"},
			},
		},
		{"all failures are left", prefix(""), []oms.Range{done, {Seq: 4, Kind: oms.RangeFailures}}, nil},
		{"the end is left", prefix(""), []oms.Range{done, {Seq: 4, Kind: oms.RangeFailures, Cur: "m"}}, []oms.Range{{Seq: 5, Kind: oms.RangeFailures, End: "m"}}},
	} {
		for i := range c.want {
			c.want[i].TaskID, c.want[i].Generation = 17, gen
		}
		got := planRanges(oms.Task{ID: 17, Generation: gen, Spec: c.spec}, c.existing, nil)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestCheckBooks(t *testing.T) {
	t.Parallel()
	keys := func(start, end string) oms.Range {
		return oms.Range{Kind: oms.RangeKeys, Start: start, Cur: end, End: end, Done: true, Counters: oms.Counters{Listed: 2, Migrated: 1, Skipped: 1}}
	}
	open := keys("m", "")
	open.Done = false
	wrong := keys("", "")
	wrong.Counters.Listed = 3
	bytes := keys("", "")
	bytes.Counters.ListedBytes = 1
	retried := oms.Range{Kind: oms.RangeFailures, Done: true, Counters: oms.Counters{Migrated: 2, Failed: -2}}
	whole := oms.TaskSpec{Type: oms.TypePrefix, Src: oms.SourceNode{Keys: []string{""}}}
	both := oms.TaskSpec{Type: oms.TypeObject, Src: oms.SourceNode{Keys: []string{"a/", "b"}}}
	names := oms.Range{Kind: oms.RangeNames, Done: true}
	folder := oms.Range{Kind: oms.RangeKeys, Prefix: "a/", Done: true}
	for _, c := range []struct {
		name   string
		spec   oms.TaskSpec
		ranges []oms.Range
		ok     bool
	}{
		{"one", whole, []oms.Range{keys("", "")}, true},
		{"three in any order", whole, []oms.Range{keys("m", "q"), keys("", "m"), keys("q", "")}, true},
		{"an empty piece", whole, []oms.Range{keys("", "m"), keys("m", "m"), keys("m", "")}, true},
		{"retried failures", whole, []oms.Range{keys("", ""), retried, retried}, true},
		{"two spaces", both, []oms.Range{names, folder}, true},
		{"none", whole, nil, false},
		{"not done", whole, []oms.Range{keys("", "m"), open}, false},
		{"objects", whole, []oms.Range{wrong}, false},
		{"bytes", whole, []oms.Range{bytes}, false},
		{"gap", whole, []oms.Range{keys("", "m"), keys("n", "")}, false},
		{"overlap", whole, []oms.Range{keys("", "m"), keys("l", "")}, false},
		{"twice", whole, []oms.Range{keys("", ""), keys("", "")}, false},
		{"no end", whole, []oms.Range{keys("", "m")}, false},
		{"no beginning", whole, []oms.Range{keys("m", "")}, false},
		{"a space is missing", both, []oms.Range{names}, false},
	} {
		if err := checkBooks(c.spec, c.ranges); (err == nil) != c.ok {
			t.Errorf("%s: got %v, want accepted %t", c.name, err, c.ok)
		}
	}
}

func TestFailedLine(t *testing.T) {
	t.Parallel()
	kathmandu := time.FixedZone("", 5*3600+45*60)
	for _, c := range []struct {
		f    oms.Failure
		want string
	}{
		{
			oms.Failure{Key: "a/b c.jpg", Code: oms.FailGet, Message: "access denied", At: 1767225600123},
			"GET_SRC_OBJ_FAILURE\t2026-01-01T05:45:00.123+05:45\ta/b%20c.jpg\ta/b c.jpg\taccess denied\n",
		},
		{
			oms.Failure{Key: "t\tn\nr\r\x00\u2028é\xff%", Code: "404", Message: "one\ntwo"},
			"404\t1970-01-01T05:45:00.000+05:45\tt%09n%0Ar%0D%00%E2%80%A8%C3%A9%FF%25\tt?n?r???é?%\tone?two\n",
		},
	} {
		if got := failedLine(c.f, kathmandu); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
}

func TestFailedListKey(t *testing.T) {
	t.Parallel()
	for group, want := range map[oms.GroupType]string{
		oms.GroupNormal: "oms/task/a-b-1/failed_object_lists/1767225600123.failed_list.txt",
		oms.GroupGroup:  "oms/task_group/g/failed_object_lists/a-b-1/1767225600123.failed_list.txt",
		oms.GroupSync:   "oms/sync_task/g/failed_object_lists/a-b-1/1767225600123.failed_list.txt",
	} {
		if got := listKey(oms.Task{Name: "a-b-1", GroupID: "g", GroupType: group}, oms.ListFailed, 1767225600123); got != want {
			t.Errorf("%s: got %q, want %q", group, got, want)
		}
	}
}

func TestSourceBucket(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		node oms.SourceNode
		want string
	}{
		{oms.SourceNode{CloudType: oms.CloudTencent, Bucket: "b", AppID: "125"}, "b-125"},
		{oms.SourceNode{CloudType: oms.CloudTencent, Bucket: "b-125", AppID: "125"}, "b-125"},
		{oms.SourceNode{CloudType: oms.CloudTencent, Bucket: "b"}, "b"},
		{oms.SourceNode{CloudType: oms.CloudAWS, Bucket: "b", AppID: "125"}, "b"},
	} {
		if got := sourceBucket(c.node); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.node, got, c.want)
		}
	}
}

// A job gets every range of the task: what it does not hold only tells it which Seq are taken.
func TestJobRanges(t *testing.T) {
	t.Parallel()
	rs := []oms.Range{
		{Seq: 1, Generation: 1, Owner: "me"},
		{Seq: 2, Generation: 2, Owner: "other"},
		{Seq: 3, Generation: 1, Done: true},
	}
	want := []oms.Range{
		{Seq: 1, Generation: 4, Owner: "me"},
		{Seq: 2, Generation: 4, Owner: "other", Done: true},
		{Seq: 3, Generation: 4, Done: true},
	}
	if diff := cmp.Diff(want, jobRanges(rs, "me", 4)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := jobRanges(rs[1:], "me", 4); got != nil {
		t.Errorf("without a range of its own it got %+v", got)
	}
}
