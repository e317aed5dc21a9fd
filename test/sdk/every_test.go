package sdk

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	v2 "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/oms/v2"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/oms/v2/model"
)

// TestEveryOperation runs all 35 operations of OMS v2 through the vendor's SDK on their good path, between two servers of
// each kind, in the order in which a user would, and checks every field of every answer.
func TestEveryOperation(t *testing.T) {
	stages(t, func(s *stage) {
		e := &every{stage: s, done: map[string]bool{}}
		e.fill()
		e.versions()
		e.clouds()
		e.task()
		e.group()
		e.sync()
		client := reflect.TypeFor[*v2.OmsClient]()
		for m := range client.Methods() {
			if !strings.HasSuffix(m.Name, "Invoker") && !e.done[m.Name] {
				s.t.Errorf("%s was not tried", m.Name)
			}
		}
		if len(e.done) != 35 {
			s.t.Errorf("%d operations were tried, want 35", len(e.done))
		}
	})
}

// every goes through the operations.
type every struct {
	*stage
	done map[string]bool // operations that were tried
}

// objects are what a source holds: enough that a limited task takes a while.
const (
	objects    = 800
	objectSize = 20_000
)

func (e *every) fill() {
	for i := range objects {
		e.put(e.src, fmt.Sprintf("photos/%d/%03d.jpg", i%3, i), "image/jpeg", fmt.Appendf(nil, "%0*d", objectSize, i))
	}
}

// call runs an operation as a subtest: it must succeed with status 200.
func call[Req, Resp any](e *every, name string, do func(*Req) (*Resp, error), req *Req) *Resp {
	e.t.Helper()
	e.done[name] = true
	resp, err := do(req)
	if err != nil {
		e.t.Fatalf("%s: %v", name, err)
	}
	if status := reflect.ValueOf(resp).Elem().FieldByName("HttpStatusCode").Int(); status != http.StatusOK {
		e.t.Errorf("%s: status %d, want 200", name, status)
	}
	return resp
}

func (e *every) versions() {
	const version = `{"id":"v2","status":"CURRENT","updated":"~text","links":[{"href":"~text","rel":"self"}]}`
	e.mustShow(call(e, "ListApiVersions", e.client.ListApiVersions, &model.ListApiVersionsRequest{}), `{"versions":[`+version+`]}`)
	e.mustShow(call(e, "ShowApiInfo", e.client.ShowApiInfo, &model.ShowApiInfoRequest{Version: "v2"}), version)
}

// clouds asks about clouds, accounts and buckets, OMS v2, 4.27 to 4.35.
func (e *every) clouds() {
	c := e.client
	e.mustShow(call(e, "ShowCloudType", c.ShowCloudType, &model.ShowCloudTypeRequest{Type: "src"}),
		`{"body":["AWS","Azure","Aliyun","Tencent","HuaweiCloud","QingCloud","KingsoftCloud","Baidu","Qiniu","URLSource","UCloud","Google"]}`)
	e.mustShow(call(e, "ShowCloudType", c.ShowCloudType, &model.ShowCloudTypeRequest{Type: "dst"}), `{"body":["HEC"]}`)
	regions := call(e, "ShowRegionInfo", c.ShowRegionInfo, &model.ShowRegionInfoRequest{})
	here := false
	for _, service := range *regions.Body {
		for _, r := range *service.RegionList {
			e.mustShow(r, fmt.Sprintf(`{"cloud_type":%q,"value":"~text","description":"~text"}`, *service.ServiceName))
			here = here || *r.CloudType == "AWS" && *r.Value == e.src.region
		}
	}
	if !here || len(*regions.Body) < 11 {
		e.t.Errorf("%d clouds; the region of the source is not among them", len(*regions.Body))
	}
	e.mustShow(call(e, "ShowBucketList", c.ShowBucketList, &model.ShowBucketListRequest{Body: &model.ListBucketsReq{
		CloudType: "AWS", Ak: &e.src.ak, Sk: &e.src.sk,
	}}), fmt.Sprintf(`{"body":[%q]}`, e.src.bucket))
	e.mustShow(call(e, "ShowBucketObjects", c.ShowBucketObjects, &model.ShowBucketObjectsRequest{Body: &model.ShowBucketReq{
		CloudType: "AWS", BucketName: e.src.bucket, DataCenter: e.src.region, FilePath: "photos/", PageSize: 2, Ak: &e.src.ak, Sk: &e.src.sk,
	}}), `{"next_page":true,"next_marker":"photos/1/","records":[{"name":"photos/0/","size":"--"},{"name":"photos/1/","size":"--"}]}`)
	e.mustShow(call(e, "ShowBucketObjects", c.ShowBucketObjects, &model.ShowBucketObjectsRequest{Body: &model.ShowBucketReq{
		CloudType: "AWS", BucketName: e.src.bucket, DataCenter: e.src.region, FilePath: "photos/2/", BehindFilename: "photos/2/794.jpg",
		PageSize: 10, Ak: &e.src.ak, Sk: &e.src.sk,
	}}), fmt.Sprintf(`{"next_page":false,"next_marker":"","records":[{"name":"photos/2/797.jpg","size":"%d"}]}`, objectSize))
	e.mustShow(call(e, "ShowBucketRegion", c.ShowBucketRegion, &model.ShowBucketRegionRequest{Body: &model.ShowBucketRegionReq{
		CloudType: "AWS", BucketName: e.src.bucket, Ak: &e.src.ak, Sk: &e.src.sk,
	}}), fmt.Sprintf(`{"id":%q,"name":"~text","support":true}`, e.src.region))
	for prefix, exist := range map[string]bool{"photos/2": true, "videos/": false} {
		e.mustShow(call(e, "CheckPrefix", c.CheckPrefix, &model.CheckPrefixRequest{Body: &model.CheckPrefixReq{
			CloudType: "AWS", BucketName: e.src.bucket, FileName: prefix, DataCenter: e.src.region, Ak: &e.src.ak, Sk: &e.src.sk,
		}}), fmt.Sprintf(`{"exist":%t}`, exist))
	}
	e.mustShow(call(e, "ShowCdnInfo", c.ShowCdnInfo, &model.ShowCdnInfoRequest{Body: &model.ShowCdnInfoReq{
		Ak: e.src.ak, Sk: e.src.sk, CloudType: "AWS", Region: e.src.region, Bucket: e.src.bucket,
		Prefix: &model.PrefixKeyInfo{Keys: []string{"photos/0/000.jpg"}}, SourceCdn: e.host(),
	}}), `{"is_same_cloud_type":false,"is_download_available":true,
	  "checked_keys":[{"key":"photos/0/000.jpg","is_etag_matching":true,"is_object_existing":true}]}`)
	e.put(e.dst, "oms/in/urls.txt", "text/plain", []byte("https://example.org/a.jpg\ta.jpg\n"))
	e.mustShow(call(e, "CheckUrlSourceListFileFormat", c.CheckUrlSourceListFileFormat, &model.CheckUrlSourceListFileFormatRequest{
		Body: &model.CheckUrlSourceListFileFormatReq{
			ObsBucket: e.dst.bucket, ListFileKey: "oms/in/urls.txt", Ak: e.dst.ak, Sk: e.dst.sk, Region: e.dst.region,
		},
	}), `{}`)
	e.mustShow(call(e, "UpdatePrivacyAgreementRecord", c.UpdatePrivacyAgreementRecord, &model.UpdatePrivacyAgreementRecordRequest{}), `{}`)
}

// host is the CDN host before the source.
func (e *every) host() *model.SourceCdnReq {
	types := model.GetSourceCdnReqAuthenticationTypeEnum()
	return cdn(e.cdn, types.NONE, "")
}

// policy is one traffic limit for the whole day.
func policy(bytesPerSecond int64) []model.BandwidthPolicyDto {
	return []model.BandwidthPolicyDto{{Start: "00:00", End: "23:59", MaxBandwidth: bytesPerSecond}}
}

// The fields that an answer about a task of this test always has.
const taskFields = `"id":%d,"name":%q,"group_id":"","group_type":"NORMAL_TASK","task_type":"prefix",
  "description":"every field","migrate_since":1577836800000,"start_time":"~now",
  "enable_failed_object_recording":true,"enable_metadata_migration":true,"enable_restore":false,"enable_requester_pays":true,
  "src_node":{"bucket":%q,"cloud_type":"AWS","region":%q,"app_id":"","object_key":["photos/"]},
  "dst_node":{"bucket":%q,"region":%q,"save_prefix":"copy/"},
  "failed_object_record":{},"success_record_error_reason":"","skip_record_error_reason":"",
  "source_cdn":{"domain":%q,"protocol":"http","authentication_type":"NONE"},
  "object_overwrite_mode":"FULL_OVERWRITE","dst_storage_policy":"STANDARD","consistency_check":"size_last_modified","obs_system":"BUCKET"`

// task goes through a task's life, OMS v2, 4.3 to 4.10.
func (e *every) task() {
	c := e.client
	created := call(e, "CreateTask", c.CreateTask, &model.CreateTaskRequest{Body: e.taskRequest()})
	e.mustShow(created, `{"id":"~number","task_name":"~text"}`)
	id := *created.Id
	show := func() *model.ShowTaskResponse {
		return call(e, "ShowTask", c.ShowTask, &model.ShowTaskRequest{TaskId: id})
	}
	until := func(status int32) *model.ShowTaskResponse {
		var task *model.ShowTaskResponse
		within(e.t, time.Minute, fmt.Sprintf("task in state %d", status), func() bool {
			task = show()
			return *task.Status == status
		})
		return task
	}
	within(e.t, time.Minute, "something is copied", func() bool { task := show(); return *task.Status == 2 && *task.SuccessfulNum > 0 })
	call(e, "UpdateBandwidthPolicy", c.UpdateBandwidthPolicy, &model.UpdateBandwidthPolicyRequest{
		TaskId: id, Body: &model.UpdateBandwidthPolicyReq{BandwidthPolicy: policy(1 << 20)},
	})
	call(e, "StopTask", c.StopTask, &model.StopTaskRequest{TaskId: id})
	until(3)
	high := model.GetBatchUpdateTasksReqTaskPriorityEnum().HIGH
	call(e, "BatchUpdateTasks", c.BatchUpdateTasks, &model.BatchUpdateTasksRequest{Body: &model.BatchUpdateTasksReq{
		Ids: &[]int64{id}, BandwidthPolicy: policy(100 << 20), TaskPriority: &high,
	}})
	fields := fmt.Sprintf(taskFields, id, *created.TaskName, e.src.bucket, e.src.region, e.dst.bucket, e.dst.region, e.cdn) +
		`,"bandwidth_policy":[{"start":"00:00","end":"23:59","max_bandwidth":104857600}],"task_priority":"HIGH","total_time":"~number","total_num":"~count","total_size":"~count"`
	paused := show()
	if *paused.Progress <= 0 || *paused.Progress >= 1 || *paused.SuccessfulNum < 1 || *paused.SuccessfulNum >= objects {
		e.t.Errorf("paused task: progress %v, %d migrated", *paused.Progress, *paused.SuccessfulNum)
	}
	e.mustShow(paused, "{"+fields+fmt.Sprintf(`,"status":3,"progress":%v,"is_query_over":%t,"successful_num":"~number","failed_num":0,"skipped_num":0,
	  "complete_size":"~number","real_size":"~number","migrate_speed":"~number","left_time":0}`, *paused.Progress, *paused.IsQueryOver))
	call(e, "StartTask", c.StartTask, &model.StartTaskRequest{TaskId: id, Body: &model.StartTaskReq{
		SrcAk: &e.src.ak, SrcSk: &e.src.sk, DstAk: e.dst.ak, DstSk: e.dst.sk,
	}})
	until(5)
	within(e.t, time.Minute, "the message is sent", func() bool { return show().SmnInfo != nil })
	done := fields + fmt.Sprintf(`,"status":5,"progress":1,"is_query_over":true,"successful_num":%d,"failed_num":0,"skipped_num":0,
	  "complete_size":%d,"real_size":%d,"migrate_speed":"~number","left_time":0,
	  "smn_info":{"notify_result":true,"notify_error_message":"","topic_name":""}`, objects, objects*objectSize, objects*objectSize)
	done = strings.NewReplacer(`"total_num":"~count"`, fmt.Sprintf(`"total_num":%d`, objects),
		`"total_size":"~count"`, fmt.Sprintf(`"total_size":%d`, objects*objectSize)).Replace(done)
	e.mustShow(show(), "{"+done+"}")
	e.mustShow(call(e, "ListTasks", c.ListTasks, &model.ListTasksRequest{
		TaskName: created.TaskName, Status: new(int32(5)), Limit: new(int32(1)), Offset: new(int32(0)),
	}), `{"count":1,"tasks":[{`+done+`}]}`)
	if keys := e.keys(e.dst); len(keys) != objects || keys[0] != "copy/photos/0/000.jpg" {
		e.t.Errorf("the destination holds %d objects: %q …", len(keys), keys[:min(1, len(keys))])
	}
	call(e, "DeleteTask", c.DeleteTask, &model.DeleteTaskRequest{TaskId: id})
	_, err := c.ShowTask(&model.ShowTaskRequest{TaskId: id})
	refused(e.t, "show a deleted task", err, 400, "OMS.1009")
}

// taskRequest is a request with every field that a prefix task can have.
func (e *every) taskRequest() *model.CreateTaskReq {
	low, overwrite := model.GetCreateTaskReqTaskPriorityEnum().LOW, model.GetCreateTaskReqObjectOverwriteModeEnum().FULL_OVERWRITE
	class, check := model.GetCreateTaskReqDstStoragePolicyEnum().STANDARD, model.GetCreateTaskReqConsistencyCheckEnum().SIZE_LAST_MODIFIED
	limits := policy(1 << 20)
	return &model.CreateTaskReq{
		TaskType: &prefix,
		SrcNode: &model.SrcNodeReq{
			CloudType: new("AWS"), Region: &e.src.region, Ak: &e.src.ak, Sk: &e.src.sk, Bucket: &e.src.bucket, ObjectKey: &[]string{"photos/"},
		},
		DstNode: &model.DstNodeReq{
			Region: e.dst.region, Ak: e.dst.ak, Sk: e.dst.sk, Bucket: e.dst.bucket, SavePrefix: new("copy/"),
		},
		Description: new("every field"), MigrateSince: new(int64(1577836800)), BandwidthPolicy: &limits, SourceCdn: e.host(),
		SmnConfig: e.notice(), EnableMetadataMigration: new(true), EnableRestore: new(false), EnableFailedObjectRecording: new(true),
		ObjectOverwriteMode: &overwrite, DstStoragePolicy: &class, ConsistencyCheck: &check, EnableRequesterPays: new(true), TaskPriority: &low,
	}
}

func (e *every) notice() *model.SmnConfig {
	language := model.GetSmnConfigLanguageEnum().ZH_CN
	return &model.SmnConfig{TopicUrn: topic, TriggerConditions: []string{"SUCCESS", "FAILURE"}, Language: &language, MessageTemplateName: new("oms")}
}

const groupFields = `"group_id":%q,"description":"every field","enable_metadata_migration":true,"enable_failed_object_recording":true,
  "enable_restore":false,"enable_requester_pays":false,"task_type":"LIST",
  "src_node":{"bucket":%q,"cloud_type":"AWS","region":%q,"app_id":"","object_key":[],
    "list_file":{"list_file_key":"oms/in/lists/","obs_bucket":%q,"list_file_num":"2"}},
  "dst_node":{"bucket":%q,"region":%q,"save_prefix":"group/"},"start_time":"~now","total_time":"~number","migrate_since":0,
  "source_cdn":{"domain":%q,"protocol":"http","authentication_type":"NONE"},
  "object_overwrite_mode":"SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE","dst_storage_policy":"STANDARD","consistency_check":"size_last_modified","obs_system":"BUCKET"`

// group goes through a group's life, OMS v2, 4.11 to 4.18. One of its objects is missing at first.
func (e *every) group() {
	c := e.client
	var lists [2]strings.Builder
	for i, key := range e.keys(e.src) {
		lists[i%2].WriteString(key + "\n")
	}
	lists[0].WriteString("late.txt\n")
	for i := range lists {
		e.put(e.dst, fmt.Sprintf("oms/in/lists/%d.txt", i), "text/plain", []byte(lists[i].String()))
	}
	list := model.GetCreateTaskGroupReqTaskTypeEnum().LIST
	limits := policy(1 << 20)
	created := call(e, "CreateTaskGroup", c.CreateTaskGroup, &model.CreateTaskGroupRequest{Body: &model.CreateTaskGroupReq{
		TaskType: &list,
		SrcNode: &model.TaskGroupSrcNode{
			CloudType: new("AWS"), Region: &e.src.region, Ak: &e.src.ak, Sk: &e.src.sk, Bucket: &e.src.bucket,
			ListFile: &model.ListFile{ListFileKey: "oms/in/lists/", ObsBucket: e.dst.bucket, ListFileNum: new("2")},
		},
		DstNode: &model.TaskGroupDstNode{
			Region: e.dst.region, Ak: e.dst.ak, Sk: e.dst.sk, Bucket: e.dst.bucket, SavePrefix: new("group/"), CloudType: new("HEC"),
		},
		Description: new("every field"), EnableMetadataMigration: new(true), EnableFailedObjectRecording: new(true), BandwidthPolicy: &limits,
		SmnConfig: e.notice(), SourceCdn: e.host(),
	}})
	e.mustShow(created, `{"group_id":"~uuid"}`)
	id := *created.GroupId
	var group *model.ShowTaskGroupResponse
	until := func(what string, ok func() bool) {
		within(e.t, time.Minute, what, func() bool {
			group = call(e, "ShowTaskGroup", c.ShowTaskGroup, &model.ShowTaskGroupRequest{GroupId: id})
			return ok()
		})
	}
	until("something is copied", func() bool { return *group.Status == groupMonitoring && *group.SuccessNum > 0 })
	call(e, "UpdateTaskGroup", c.UpdateTaskGroup, &model.UpdateTaskGroupRequest{GroupId: id, Body: &model.UpdateBandwidthPolicyReq{BandwidthPolicy: policy(1 << 20)}})
	call(e, "StopTaskGroup", c.StopTaskGroup, &model.StopTaskGroupRequest{GroupId: id})
	until("the group is paused", func() bool { return *group.Status == groupPaused })
	call(e, "UpdateTaskGroup", c.UpdateTaskGroup, &model.UpdateTaskGroupRequest{GroupId: id, Body: &model.UpdateBandwidthPolicyReq{BandwidthPolicy: []model.BandwidthPolicyDto{}}})
	call(e, "StartTaskGroup", c.StartTaskGroup, &model.StartTaskGroupRequest{GroupId: id, Body: &model.StartTaskGroupReq{
		SrcAk: &e.src.ak, SrcSk: &e.src.sk, DstAk: e.dst.ak, DstSk: e.dst.sk,
	}})
	until("the group has failed", func() bool { return *group.Status == groupFailed && group.SmnConfig != nil })
	fields := fmt.Sprintf(groupFields, id, e.src.bucket, e.src.region, e.dst.bucket, e.dst.bucket, e.dst.region, e.cdn) + fmt.Sprintf(`,
	  "bandwidth_policy":[],"migrate_speed":"~number","total_task_num":2,"create_task_num":2,"paused_task_num":0,"executing_task_num":0,"waiting_task_num":0,
	  "total_num":%d,"create_complete_num":%d`, objects+1, objects+1)
	e.mustShow(group, "{"+fields+fmt.Sprintf(`,"status":5,"error_reason":{"error_code":"TRF.0004","error_msg":"~text"},
	  "smn_config":{"notify_result":true,"notify_error_message":"","topic_name":""},
	  "failed_task_num":1,"complete_task_num":1,"success_num":%d,"fail_num":1,"skip_num":0,"total_size":%d,"create_complete_size":%d,"complete_size":%d,
	  "failed_object_record":{"result":true,"list_file_key":"oms/task_group/%s/failed_object_lists/"}}`,
		objects, objects*objectSize, objects*objectSize, objects*objectSize, id))
	e.put(e.src, "late.txt", "text/plain", []byte("here"))
	call(e, "RetryTaskGroup", c.RetryTaskGroup, &model.RetryTaskGroupRequest{GroupId: id, Body: &model.RetryTaskGroupReq{
		SrcAk: &e.src.ak, SrcSk: &e.src.sk, DstAk: &e.dst.ak, DstSk: &e.dst.sk, MigrateFailedObject: new(true),
	}})
	until("the group has succeeded", func() bool { return *group.Status == groupSucceeded && group.SmnConfig != nil })
	done := fields + fmt.Sprintf(`,"status":6,"smn_config":{"notify_result":true,"notify_error_message":"","topic_name":""},
	  "failed_task_num":0,"complete_task_num":2,"success_num":%d,"fail_num":0,"skip_num":0,"total_size":%d,"create_complete_size":%d,"complete_size":%d,
	  "failed_object_record":{}`, objects+1, objects*objectSize+4, objects*objectSize+4, objects*objectSize+4)
	e.mustShow(group, "{"+done+"}")
	e.mustShow(call(e, "ListTaskGroup", c.ListTaskGroup, &model.ListTaskGroupRequest{Limit: new(int32(1)), Offset: new(int32(0)), Status: new(int32(groupSucceeded))}),
		`{"count":1,"taskgroups":[{`+done+`}]}`)
	if keys := e.keys(e.dst); len(keys) != 2*objects+1 || !slices.Contains(keys, "group/late.txt") {
		e.t.Errorf("the destination holds %d objects", len(keys))
	}
	call(e, "DeleteTaskGroup", c.DeleteTaskGroup, &model.DeleteTaskGroupRequest{GroupId: id})
	within(e.t, time.Minute, "the group is gone", func() bool {
		_, err := c.ShowTaskGroup(&model.ShowTaskGroupRequest{GroupId: id})
		return err != nil
	})
}

const syncFields = `"sync_task_id":%q,"src_cloud_type":"AWS","src_region":%q,"src_bucket":%q,"create_time":"~now","last_start_time":"~now",
  "dst_bucket":%q,"dst_region":%q,"description":"every field","status":%q,"enable_metadata_migration":true,"enable_restore":false,"app_id":"",
  "object_overwrite_mode":"SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE","dst_storage_policy":"STANDARD","consistency_check":"no_check"`

// sync goes through a synchronization task's life, OMS v2, 4.19 to 4.26.
func (e *every) sync() {
	c := e.client
	check, class := model.GetCreateSyncTaskReqConsistencyCheckEnum().TRANSMISSION, model.GetCreateSyncTaskReqDstStoragePolicyEnum().STANDARD
	created := call(e, "CreateSyncTask", c.CreateSyncTask, &model.CreateSyncTaskRequest{Body: &model.CreateSyncTaskReq{
		SrcCloudType: new("AWS"), SrcRegion: e.src.region, SrcBucket: e.src.bucket, SrcAk: e.src.ak, SrcSk: e.src.sk,
		DstRegion: e.dst.region, DstBucket: e.dst.bucket, DstAk: e.dst.ak, DstSk: e.dst.sk, Description: new("every field"),
		EnableMetadataMigration: new(true), EnableRestore: new(false), DstStoragePolicy: &class, SourceCdn: e.host(), ConsistencyCheck: &check,
	}})
	e.mustShow(created, `{"sync_task_id":"~uuid"}`)
	id := *created.SyncTaskId
	e.mustShow(call(e, "CreateSyncEvents", c.CreateSyncEvents, &model.CreateSyncEventsRequest{
		SyncTaskId: id, Body: &model.SyncObjectReq{ObjectKeys: []string{"photos%2F0%2F000.jpg", "late.txt", "missing"}},
	}), `{}`)
	var shown *model.ShowSyncTaskResponse
	within(e.t, time.Minute, "events are applied", func() bool {
		shown = call(e, "ShowSyncTask", c.ShowSyncTask, &model.ShowSyncTaskRequest{SyncTaskId: id, QueryTime: time.Now().UnixMilli()})
		return *shown.MonthlySuccessObject == 2 && *shown.MonthlyFailureObject == 1
	})
	fields := func(status string) string {
		return fmt.Sprintf(syncFields, id, e.src.region, e.src.bucket, e.dst.bucket, e.dst.region, status)
	}
	e.mustShow(shown, "{"+fields("SYNCHRONIZING")+fmt.Sprintf(`,"monthly_acceptance_request":3,"monthly_success_object":2,
	  "monthly_failure_object":1,"monthly_skip_object":0,"monthly_size":%d}`, objectSize+4))
	now := time.Now()
	for typ, n := range map[string]int{"REQUEST": 3, "SUCCESS": 2, "FAILURE": 1, "SKIP": 0, "SIZE": objectSize + 4} {
		types := model.ListSyncTaskStatisticRequestDataType{}
		if err := types.UnmarshalJSON([]byte(`"` + typ + `"`)); err != nil {
			e.t.Fatal(err)
		}
		e.mustShow(call(e, "ListSyncTaskStatistic", c.ListSyncTaskStatistic, &model.ListSyncTaskStatisticRequest{
			SyncTaskId: id, DataType: types, StartTime: now.Add(-48 * time.Hour).UnixMilli(), EndTime: now.UnixMilli(),
		}), fmt.Sprintf(`{"sync_task_id":%q,"statistic_time_type":"ONE_HOUR","statistic_datas":[{"data_type":%q,"data":[{"time_stamp":%d,"statistic_num":%d}]}]}`,
			id, typ, now.Truncate(time.Hour).UnixMilli(), n))
	}
	call(e, "StopSyncTask", c.StopSyncTask, &model.StopSyncTaskRequest{SyncTaskId: id})
	e.mustShow(call(e, "ListSyncTasks", c.ListSyncTasks, &model.ListSyncTasksRequest{Status: new("STOPPED"), Limit: new(int32(1)), Offset: new(int32(0))}),
		`{"count":1,"tasks":[{`+fields("STOPPED")+fmt.Sprintf(`,"source_cdn":{"domain":%q,"protocol":"http","authentication_type":"NONE"}}]}`, e.cdn))
	call(e, "StartSyncTask", c.StartSyncTask, &model.StartSyncTaskRequest{SyncTaskId: id, Body: &model.StartSyncTaskReq{
		SrcAk: e.src.ak, SrcSk: e.src.sk, DstAk: e.dst.ak, DstSk: e.dst.sk,
	}})
	call(e, "StopSyncTask", c.StopSyncTask, &model.StopSyncTaskRequest{SyncTaskId: id})
	call(e, "DeleteSyncTask", c.DeleteSyncTask, &model.DeleteSyncTaskRequest{SyncTaskId: id})
	_, err := c.ShowSyncTask(&model.ShowSyncTaskRequest{SyncTaskId: id, QueryTime: now.UnixMilli()})
	refused(e.t, "show a deleted task", err, 404, "OMS.1009")
}
