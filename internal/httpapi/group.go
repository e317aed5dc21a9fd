package httpapi

import (
	"context"
	"errors"
	"maps"
	"math"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// Groups is the service behind the operations on task groups; package engine implements it. Methods return after
// their change is committed (rule P6). Unknown groups and those of another project are oms.NotFound with OMS.1009;
// refusals carry the code of OMS v2, 5.3.
type Groups interface {
	// CreateGroup stores and queues a group: ProjectID and Spec are given, endpoints resolved. It checks that both
	// buckets can be reached (OMS.1014, OMS.1020) and the project's quota (OMS.1037).
	CreateGroup(ctx context.Context, g oms.Group, keys oms.TaskCredentials) (oms.Group, error)
	// Group returns one group.
	Group(ctx context.Context, project, id string) (oms.Group, error)
	// Groups returns a page, newest first, and the number of groups that match.
	Groups(ctx context.Context, f oms.GroupFilter) ([]oms.Group, int64, error)
	// StartGroup lets a paused group go on; OMS.1004 when keys are missing.
	StartGroup(ctx context.Context, project, id string, keys oms.TaskCredentials) error
	// RetryGroup runs a failed group again; OMS.1004 when keys are missing.
	RetryGroup(ctx context.Context, project, id string, req oms.StartRequest) error
	// StopGroup pauses a group.
	StopGroup(ctx context.Context, project, id string) error
	// DeleteGroup removes a group that is not active, with its tasks, in the background.
	DeleteGroup(ctx context.Context, project, id string) error
	// SetGroupBandwidth replaces the traffic limits of the group and of its tasks.
	SetGroupBandwidth(ctx context.Context, project, id string, ws []oms.BandwidthWindow) error
}

// maxGroupPath is the contract's limit of group_id in paths, in characters.
const maxGroupPath = 1024

// groupRoutes returns the operations on task groups (OMS v2, 4.11 to 4.18).
func groupRoutes() []route {
	const (
		groups = "/v2/{project_id}/taskgroups"
		group  = groups + "/{group_id}"
	)
	return []route{
		{http.MethodGet, groups, "ListTaskGroup", may(auth.GroupList), noBody, (*service).listGroups},
		{http.MethodPost, groups, "CreateTaskGroup", may(auth.GroupCreate), createBody, (*service).createGroup},
		{http.MethodGet, group, "ShowTaskGroup", may(auth.GroupGet), noBody, (*service).showGroup},
		{http.MethodDelete, group, "DeleteTaskGroup", may(auth.GroupDelete), noBody, (*service).deleteGroup},
		{http.MethodPut, group + "/start", "StartTaskGroup", may(auth.GroupUpdate), normalBody, (*service).startGroup},
		{http.MethodPut, group + "/stop", "StopTaskGroup", may(auth.GroupUpdate), noBody, (*service).stopGroup},
		{http.MethodPut, group + "/retry", "RetryTaskGroup", may(auth.GroupUpdate), normalBody, (*service).retryGroup},
		{http.MethodPut, group + "/update", "UpdateTaskGroup", may(auth.GroupUpdate), normalBody, (*service).updateGroup},
	}
}

// unknownGroup is the answer to a group that does not exist: clients wait for status 404 after a deletion (OMS v2, 8,
// row 4).
func unknownGroup() error {
	return &statusError{http.StatusNotFound, oms.Errorf(oms.NotFound, "OMS.1009", "The task group does not exist.")}
}

// groupError gives an unknown group its status.
func groupError(err error) error {
	if errors.Is(err, oms.NotFound) && oms.CodeOf(err) == "OMS.1009" {
		return unknownGroup()
	}
	return err
}

// groupID returns the id of the path. One that no group can have is answered as an unknown one.
func groupID(c *call) (string, error) {
	id := c.r.PathValue("group_id")
	if id == "" || utf8.RuneCountInString(id) > maxGroupPath || !utf8.ValidString(id) || strings.ContainsFunc(id, isControl) {
		return "", unknownGroup()
	}
	c.object = oms.Clean(id)
	return id, nil
}

func (s *service) listGroups(ctx context.Context, c *call) (any, error) {
	q := readQuery(c.r)
	filter := oms.GroupFilter{ProjectID: c.project}
	filter.Limit, filter.Offset = q.page(math.MaxInt32)
	const all = -1
	if status := q.number("status", int64(oms.GroupWaiting), int64(oms.GroupDeleting), all); status != all {
		filter.Statuses = []oms.GroupStatus{oms.GroupStatus(status)}
	}
	if q.err != nil {
		return nil, q.err
	}
	now := s.clock() // before reading, see showTask
	groups, count, err := s.groups.Groups(ctx, filter)
	if err != nil {
		return nil, err
	}
	return omsv2.ListTaskGroupsResponse{TaskGroups: shown(groups, func(g oms.Group) omsv2.TaskGroup { return groupView(g, now) }), Count: count}, nil
}

func (s *service) createGroup(ctx context.Context, c *call) (any, error) {
	f, err := decodeBody(c.body)
	if err != nil {
		return nil, err
	}
	spec, keys, err := s.decodeSpec(groupFields(f))
	if err != nil {
		return nil, err
	}
	if err := s.topicKnown(ctx, c.project, spec.SMN); err != nil {
		return nil, err
	}
	g, err := s.groups.CreateGroup(ctx, oms.Group{ProjectID: c.project, Spec: spec}, keys)
	if err != nil {
		return nil, err
	}
	c.object = g.ID
	return omsv2.CreateTaskGroupResponse{GroupID: g.ID}, nil
}

// The task types of groups, in upper case in contrast to those of tasks (OMS v2, 3.9).
const (
	groupList    = "LIST"
	groupURLList = "URL_LIST"
	groupPrefix  = "PREFIX"
)

// groupFields returns the members of CreateTaskGroup as those of CreateTask: task types in lower case, vendors in the
// spelling of tasks (OMS v2, 8, row 25), and no task_priority, which groups do not have.
func groupFields(f fields) fields {
	members := maps.Clone(f.members)
	if members == nil {
		members = make(map[string]any)
	}
	delete(members, "task_priority")
	members["task_type"] = strings.ToLower(choice(f, "task_type", groupPrefix, groupList, groupURLList, groupPrefix))
	for _, name := range []string{"src_node", "dst_node"} {
		node, ok := members[name].(map[string]any)
		if !ok {
			continue
		}
		if cloud, ok := node["cloud_type"].(string); ok {
			node = maps.Clone(node)
			node["cloud_type"] = taskCloud(cloud)
			members[name] = node
		}
	}
	return fields{members: members, path: f.path, err: f.err}
}

// taskCloud returns the spelling of tasks for a vendor in that of groups, and everything else as it is.
func taskCloud(name string) string {
	for _, cloud := range []oms.CloudType{
		oms.CloudAWS, oms.CloudAzure, oms.CloudAliyun, oms.CloudTencent, oms.CloudHuawei, oms.CloudQing, oms.CloudKingsoft,
		oms.CloudBaidu, oms.CloudQiniu, oms.CloudURL, oms.CloudUCloud, oms.CloudGoogle, oms.CloudHEC,
	} {
		if name == groupCloud(cloud) {
			return string(cloud)
		}
	}
	return name
}

// groupCloud returns the spelling of groups for a vendor (OMS v2, 3.7).
func groupCloud(cloud oms.CloudType) string { return strings.ToUpper(string(cloud)) }

func (s *service) showGroup(ctx context.Context, c *call) (any, error) {
	id, err := groupID(c)
	if err != nil {
		return nil, err
	}
	now := s.clock() // before reading, see showTask
	g, err := s.groups.Group(ctx, c.project, id)
	if err != nil {
		return nil, groupError(err)
	}
	return groupView(g, now), nil
}

func (s *service) deleteGroup(ctx context.Context, c *call) (any, error) {
	id, err := groupID(c)
	if err != nil {
		return nil, err
	}
	return nil, groupError(s.groups.DeleteGroup(ctx, c.project, id))
}

func (s *service) startGroup(ctx context.Context, c *call) (any, error) {
	id, err := groupID(c)
	if err != nil {
		return nil, err
	}
	f, err := decodeBody(c.body)
	if err != nil {
		return nil, err
	}
	f.key("dst_ak")
	f.key("dst_sk")
	req := groupStart(f)
	if f.failed() {
		return nil, *f.err
	}
	return nil, groupError(s.groups.StartGroup(ctx, c.project, id, req.Credentials))
}

func (s *service) retryGroup(ctx context.Context, c *call) (any, error) {
	id, err := groupID(c)
	if err != nil {
		return nil, err
	}
	f, err := decodeBody(c.body)
	if err != nil {
		return nil, err
	}
	req := groupStart(f)
	req.FailedOnly = f.truth("migrate_failed_object")
	if f.failed() {
		return nil, *f.err
	}
	return nil, groupError(s.groups.RetryGroup(ctx, c.project, id, req))
}

// groupStart reads the keys of StartTaskGroup and RetryTaskGroup (OMS v2, 4.15 and 4.17). Which of them are needed
// depends on the group: those that are missing are zero.
func groupStart(f fields) oms.StartRequest {
	var req oms.StartRequest
	var given bool
	if req.Credentials.Src, given = documents(f, "src_", ""); !given {
		req.Credentials.Src = groupKeys(f, "src_")
	}
	req.Credentials.Dst = groupKeys(f, "dst_")
	req.Credentials.Src.CDNKey = cdnKey(f, "source_cdn_")
	return req
}

// groupKeys reads the keys of one side, both or none.
func groupKeys(f fields, prefix string) oms.Credentials {
	ak, sk := f.line(prefix+"ak", maxKey), f.line(prefix+"sk", maxKey)
	plainSecrets(f, prefix)
	switch {
	case ak != "" && sk == "":
		f.refuse("OMS.1004", "The field %ssk is mandatory beside %sak.", prefix, prefix)
	case ak == "" && sk != "":
		f.refuse("OMS.1004", "The field %sak is mandatory beside %ssk.", prefix, prefix)
	}
	return oms.Credentials{AccessKey: ak, SecretKey: oms.NewSecret(sk)}
}

func (s *service) stopGroup(ctx context.Context, c *call) (any, error) {
	id, err := groupID(c)
	if err != nil {
		return nil, err
	}
	return nil, groupError(s.groups.StopGroup(ctx, c.project, id))
}

func (s *service) updateGroup(ctx context.Context, c *call) (any, error) {
	id, err := groupID(c)
	if err != nil {
		return nil, err
	}
	f, err := decodeBody(c.body)
	if err != nil {
		return nil, err
	}
	f.require("bandwidth_policy")
	windows := bandwidth(f)
	if f.failed() {
		return nil, *f.err
	}
	return nil, groupError(s.groups.SetGroupBandwidth(ctx, c.project, id, windows))
}

// groupView is the group as ShowTaskGroup shows it at the instant now (OMS v2, 4.13).
func groupView(g oms.Group, now time.Time) omsv2.TaskGroup {
	src := sourceView(g.Spec.Src)
	src.CloudType = groupCloud(g.Spec.Src.CloudType)
	v := omsv2.TaskGroup{
		GroupID: g.ID, Status: int32(g.Status), TaskType: strings.ToUpper(string(g.Spec.Type)), Description: g.Spec.Description,
		SrcNode: src, DstNode: groupDestination(g.Spec.Dst),
		EnableMetadataMigration: g.Spec.MigrateMetadata, EnableFailedObjectRecording: g.Spec.RecordFailures,
		EnableRestore: g.Spec.Restore, EnableKMS: g.Spec.KMS, EnableRequesterPays: g.Spec.RequesterPays,
		BandwidthPolicy: bandwidthView(g.Spec.Bandwidth), SourceCDN: cdnView(g.Spec.CDN), SMNConfig: smnView(asTask(g)),
		MigrateSince: millis(g.Spec.MigrateSince), StartTime: millis(g.StartedAt), TotalTime: g.Elapsed(now).Milliseconds(),
		ErrorReason: reasonView(asTask(g)), FailedObjectRecord: recordView(g.FailedList),
		ObjectOverwriteMode: string(g.Spec.Overwrite), DstStoragePolicy: string(g.Spec.StoragePolicy),
		ConsistencyCheck: string(g.Spec.Consistency), OBSSystem: obsSystem(g.Spec),
	}
	setGroupCounters(&v, g)
	if g.Status == oms.GroupCreating || g.Status == oms.GroupMonitoring {
		v.MigrateSpeed = g.Speed
	} else if v.TotalTime > 0 {
		v.MigrateSpeed = clamp(float64(g.Totals.Counters.MovedBytes+g.Gone.Counters.MovedBytes) / float64(v.TotalTime) * 1000)
	}
	return v
}

// setGroupCounters fills the numbers of tasks, objects and bytes. Tasks that were deleted still count (OMS v2, 8, row 11).
func setGroupCounters(v *omsv2.TaskGroup, g oms.Group) {
	tasks, gone := g.Totals.Tasks, g.Gone.Tasks
	v.CreateTaskNum = tasks.All() + gone.All()
	v.TotalTaskNum = v.CreateTaskNum
	v.FailedTaskNum = tasks.Failed + gone.Failed
	v.CompleteTaskNum = tasks.Succeeded + gone.Succeeded
	v.PausedTaskNum = tasks.Paused + gone.Paused
	v.ExecutingTaskNum, v.WaitingTaskNum = tasks.Running, tasks.Waiting
	v.CreateCompleteNum, v.CreateCompleteSize = g.Totals.Found+g.Gone.Found, g.Totals.FoundBytes+g.Gone.FoundBytes
	v.TotalNum, v.TotalSize = v.CreateCompleteNum+g.Open, v.CreateCompleteSize+g.OpenBytes
	c := g.Totals.Counters.Add(g.Gone.Counters)
	v.SuccessNum, v.FailNum, v.SkipNum = c.Migrated, c.Failed, c.Skipped
	v.CompleteSize = c.MigratedBytes + c.SkippedBytes
}

// groupDestination shows a destination whose vendor, where it is not the contract's, is spelled as groups do.
func groupDestination(n oms.DestinationNode) omsv2.DestinationNode {
	v := destinationView(n)
	v.CloudType = strings.ToUpper(v.CloudType)
	return v
}

// asTask returns what a group shows in the same way as a task: its end, the reason, and the notification.
func asTask(g oms.Group) oms.Task {
	t := oms.Task{GroupID: g.ID, GroupType: oms.GroupGroup, Spec: g.Spec, Error: g.Error, NoticeCode: g.NoticeCode}
	switch g.Status {
	case oms.GroupCreationFailed, oms.GroupFailed:
		t.Status = oms.StatusFailed
	case oms.GroupSucceeded:
		t.Status = oms.StatusSucceeded
	default:
		t.Status = oms.StatusRunning
	}
	return t
}
