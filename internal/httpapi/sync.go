package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// Syncs is the service behind the operations on synchronization tasks; package engine implements it. Methods return
// after their change is committed (rule P6). Unknown tasks and those of another project are oms.NotFound with
// OMS.1009; what the state does not allow is OMS.1036.
type Syncs interface {
	// CreateSync stores and starts a task: ProjectID and Spec are given, endpoints resolved. It checks that both
	// buckets can be reached (OMS.1014, OMS.1020, OMS.0081) and the project's quota (OMS.0077).
	CreateSync(ctx context.Context, t oms.SyncTask, keys oms.TaskCredentials) (oms.SyncTask, error)
	// ListSyncs returns a page, newest first, and the number of tasks that match.
	ListSyncs(ctx context.Context, f oms.SyncFilter) ([]oms.SyncTask, int64, error)
	// ShowSync returns one task and what was counted in the calendar month, in UTC, of the instant.
	ShowSync(ctx context.Context, project, id string, at time.Time) (oms.SyncTask, oms.SyncCounts, error)
	// StartSync lets a stopped task go on.
	StartSync(ctx context.Context, project, id string, keys oms.TaskCredentials) error
	// StopSync stops a task.
	StopSync(ctx context.Context, project, id string) error
	// DeleteSync removes a stopped task.
	DeleteSync(ctx context.Context, project, id string) error
	// AddSyncEvents accepts object names, all or none; OMS.2004 when too many wait.
	AddSyncEvents(ctx context.Context, project, id string, keys []string) error
	// SyncStatistics returns what was counted between the instants.
	SyncStatistics(ctx context.Context, project, id string, from, to time.Time) (oms.SyncSeries, error)
}

// Limits of OMS v2, 4.19 to 4.26, in characters unless they say otherwise.
const (
	maxSyncID        = 255
	maxEventSyncID   = 1024
	maxSyncOffset    = 10_000
	maxSyncRegion    = 100
	maxEventKeys     = 100 // elements; the contract says 10 in words and 100 in its schema (OMS v2, 4.25)
	maxEventKey      = 16_384
	maxDataType      = 255
	maxUnixMillis    = 253_402_300_799_999 // the end of the year 9999
	eventsOperation  = "CreateSyncEvents"
	syncCheckNothing = "transmission" // what requests call no_check (OMS v2, 3.9)
)

// forbiddenInSyncDescription are the characters of OMS.0078 for synchronization tasks (OMS v2, 3.9).
const forbiddenInSyncDescription = `<>()"'&`

// syncRoutes returns the operations on synchronization tasks.
func syncRoutes() []route {
	const (
		syncs = "/v2/{project_id}/sync-tasks"
		sync  = syncs + "/{sync_task_id}"
	)
	return []route{
		{http.MethodGet, syncs, "ListSyncTasks", may(auth.SyncList), noBody, (*service).listSyncs},
		{http.MethodPost, syncs, "CreateSyncTask", may(auth.SyncCreate), normalBody, (*service).createSync},
		{http.MethodGet, sync, "ShowSyncTask", may(auth.SyncGet), noBody, (*service).showSync},
		{http.MethodDelete, sync, "DeleteSyncTask", may(auth.SyncDelete), noBody, (*service).deleteSync},
		{http.MethodPost, sync + "/start", "StartSyncTask", may(auth.SyncUpdate), normalBody, (*service).startSync},
		{http.MethodPost, sync + "/stop", "StopSyncTask", may(auth.SyncUpdate), noBody, (*service).stopSync},
		{http.MethodPost, sync + "/events", eventsOperation, may(auth.SyncCreateEvent), createBody, (*service).createSyncEvents},
		{http.MethodGet, sync + "/statistics", "ListSyncTaskStatistic", may(auth.SyncStatistics), noBody, (*service).syncStatistics},
	}
}

// syncID returns the id of the path, which has at most limit characters.
func syncID(c *call, limit int) (string, error) {
	id := c.r.PathValue("sync_task_id")
	if utf8.RuneCountInString(id) > limit {
		return "", oms.Errorf(oms.Invalid, "OMS.1003", "The id of the synchronization task must have at most %d characters.", limit)
	}
	return id, nil
}

// notThere gives an unknown synchronization task the status 404 (OMS v2, 8, row 4).
func notThere(err error) error {
	if e := contractError(err); e != nil && e.Kind == oms.NotFound {
		return &statusError{http.StatusNotFound, e}
	}
	return err
}

func (s *service) listSyncs(ctx context.Context, c *call) (any, error) {
	q := readQuery(c.r)
	filter := oms.SyncFilter{
		ProjectID: c.project,
		Status:    oms.SyncStatus(q.text("status", 0, maxSyncID)),
	}
	filter.Limit, filter.Offset = q.page(maxSyncOffset)
	if filter.Status != "" && filter.Status != oms.SyncRunning && filter.Status != oms.SyncStopped {
		q.refuse("OMS.1003", "The parameter status must be %s or %s.", oms.SyncRunning, oms.SyncStopped)
	}
	if q.err != nil {
		return nil, q.err
	}
	tasks, count, err := s.syncs.ListSyncs(ctx, filter)
	if err != nil {
		return nil, err
	}
	return omsv2.ListSyncTasksResponse{Tasks: shown(tasks, syncView), Count: count}, nil
}

func (s *service) createSync(ctx context.Context, c *call) (any, error) {
	spec, keys, err := s.decodeCreateSync(c.body)
	if err != nil {
		return nil, err
	}
	t, err := s.syncs.CreateSync(ctx, oms.SyncTask{ProjectID: c.project, Spec: spec}, keys)
	if err != nil {
		return nil, err
	}
	c.object = t.ID
	return omsv2.CreateSyncTaskResponse{SyncTaskID: t.ID}, nil
}

// decodeCreateSync reads the body of CreateSyncTask (OMS v2, 4.20) and resolves the endpoints.
func (s *service) decodeCreateSync(body []byte) (oms.TaskSpec, oms.TaskCredentials, error) {
	f, err := decodeBody(body)
	if err != nil {
		return oms.TaskSpec{}, oms.TaskCredentials{}, err
	}
	spec := oms.TaskSpec{
		Type: oms.TypeObject, Overwrite: oms.OverwriteIfDifferent, Priority: oms.PriorityMedium, RecordFailures: true,
		Src: oms.SourceNode{
			CloudType: syncCloudType(f), Region: f.word("src_region", maxSyncRegion), Bucket: bucketIn(f, "src_bucket", "OMS.0057"),
		},
		Dst: oms.DestinationNode{
			CloudType: oms.CloudHEC, Region: f.word("dst_region", maxSyncRegion), Bucket: bucketIn(f, "dst_bucket", "OMS.0058"),
		},
	}
	spec.Src.AppID = appID(f, spec.Src.CloudType)
	keys := oms.TaskCredentials{Src: cloudCredentials(f, "src_", spec.Src.CloudType), Dst: credentials(f, "dst_")}
	if f.has("source_cdn") {
		spec.CDN, keys.Src.CDNKey = sourceCDN(f.object("source_cdn"))
	}
	syncOptions(f, &spec)
	s.resolve(f, &spec)
	locate(f, &spec, keys)
	return spec, keys, *f.err
}

// syncCloudType reads src_cloud_type.
func syncCloudType(f fields) oms.CloudType {
	return choice(f, "src_cloud_type", oms.CloudAliyun, oms.CloudAWS, oms.CloudAzure, oms.CloudAliyun, oms.CloudTencent,
		oms.CloudHuawei, oms.CloudQing, oms.CloudKingsoft, oms.CloudBaidu, oms.CloudQiniu, oms.CloudUCloud)
}

// syncOptions reads the optional members of CreateSyncTask.
func syncOptions(f fields, spec *oms.TaskSpec) {
	spec.Description = f.text("description", maxText)
	if strings.ContainsAny(spec.Description, forbiddenInSyncDescription) {
		f.refuse("OMS.0078", "The description contains one of the characters %s.", forbiddenInSyncDescription)
	}
	f.line("description", maxText)
	spec.MigrateMetadata = f.truth("enable_metadata_migration")
	restore := f.truth("enable_restore")
	spec.StorageClassSent = f.has("dst_storage_policy")
	spec.StoragePolicy = choice(f, "dst_storage_policy", oms.StorageStandard,
		oms.StorageStandard, oms.StorageIA, oms.StorageArchive, oms.StorageDeepArchive, oms.StorageMapped)
	spec.Consistency = choice(f, "consistency_check", oms.CheckSizeModified, oms.CheckSizeModified, oms.CheckCRC64, syncCheckNothing)
	if spec.Consistency == syncCheckNothing {
		spec.Consistency = oms.CheckNone
	}
	if restore {
		f.unsupported("enable_restore")
	}
}

func (s *service) showSync(ctx context.Context, c *call) (any, error) {
	id, err := syncID(c, maxSyncID)
	if err != nil {
		return nil, err
	}
	q := readQuery(c.r)
	at := q.instant("query_time")
	if q.err != nil {
		return nil, q.err
	}
	t, month, err := s.syncs.ShowSync(ctx, c.project, id, at)
	if err != nil {
		return nil, notThere(err)
	}
	return shownSync(t, month), nil
}

// instant returns a mandatory parameter in Unix milliseconds.
func (q *query) instant(name string) time.Time {
	if _, ok := q.raw(name); !ok {
		q.refuse("OMS.1004", "The parameter %s is mandatory.", name)
	}
	return time.UnixMilli(q.number(name, 0, maxUnixMillis, 0)).UTC()
}

func (s *service) deleteSync(ctx context.Context, c *call) (any, error) {
	id, err := syncID(c, maxSyncID)
	if err != nil {
		return nil, err
	}
	return nil, notThere(s.syncs.DeleteSync(ctx, c.project, id))
}

func (s *service) startSync(ctx context.Context, c *call) (any, error) {
	id, err := syncID(c, maxSyncID)
	if err != nil {
		return nil, err
	}
	f, err := decodeBody(c.body)
	if err != nil {
		return nil, err
	}
	keys := oms.TaskCredentials{Src: credentials(f, "src_"), Dst: credentials(f, "dst_")}
	keys.Src.CDNKey = cdnKey(f, "source_cdn_")
	if f.failed() {
		return nil, *f.err
	}
	return nil, notThere(s.syncs.StartSync(ctx, c.project, id, keys))
}

func (s *service) stopSync(ctx context.Context, c *call) (any, error) {
	id, err := syncID(c, maxSyncID)
	if err != nil {
		return nil, err
	}
	return nil, notThere(s.syncs.StopSync(ctx, c.project, id))
}

func (s *service) createSyncEvents(ctx context.Context, c *call) (any, error) {
	id, err := syncID(c, maxEventSyncID)
	if err != nil {
		return nil, err
	}
	keys, err := decodeEvents(c.body)
	if err != nil {
		return nil, err
	}
	return nil, notThere(s.syncs.AddSyncEvents(ctx, c.project, id, keys))
}

// decodeEvents reads the body of CreateSyncEvents (OMS v2, 4.25) and decodes the names, once: %2B is a plus sign, and
// so is a plus sign.
func decodeEvents(body []byte) ([]string, error) {
	const name = "object_keys"
	f, err := decodeBody(body)
	if err != nil {
		return nil, err
	}
	f.require(name)
	keys := f.texts(name, maxEventKeys, maxEventKey)
	if len(keys) == 0 {
		f.refuse("OMS.1003", "The field %s must have 1 to %d elements.", name, maxEventKeys)
	}
	for i, encoded := range keys {
		key, err := url.PathUnescape(encoded)
		switch {
		case err != nil:
			f.refuse("OMS.1003", "The field %s is not well percent-encoded.", at(name, i))
		case key == "":
			f.refuse("OMS.1003", "The field %s must have 1 to %d characters.", at(name, i), maxEventKey)
		}
		keys[i] = key
	}
	return keys, *f.err
}

func (s *service) syncStatistics(ctx context.Context, c *call) (any, error) {
	id, err := syncID(c, maxSyncID)
	if err != nil {
		return nil, err
	}
	q := readQuery(c.r)
	types := dataTypes(q)
	from, to := q.instant("start_time"), q.instant("end_time")
	if from.After(to) {
		q.refuse("OMS.1003", "The parameter start_time must not be later than end_time.")
	}
	if q.err != nil {
		return nil, q.err
	}
	series, err := s.syncs.SyncStatistics(ctx, c.project, id, from, to)
	if err != nil {
		return nil, notThere(err)
	}
	return statisticView(id, series, types), nil
}

// dataTypes reads data_type: one or several types, with commas between them. A type that is named twice counts once.
func dataTypes(q *query) []string {
	const name = "data_type"
	if _, ok := q.raw(name); !ok {
		q.refuse("OMS.1004", "The parameter %s is mandatory.", name)
		return nil
	}
	known := []string{omsv2.StatisticRequest, omsv2.StatisticSuccess, omsv2.StatisticFailure, omsv2.StatisticSkip, omsv2.StatisticSize}
	var types []string
	for t := range strings.SplitSeq(q.text(name, 1, maxDataType), ",") {
		if !slices.Contains(known, t) {
			q.refuse("OMS.1003", "The parameter %s must be one or several of %s, with commas between them.", name, strings.Join(known, ", "))
		}
		if !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	return types
}

// syncView is the task as ListSyncTasks shows it (OMS v2, 4.19).
func syncView(t oms.SyncTask) omsv2.SyncTask {
	return omsv2.SyncTask{
		SyncTaskID: t.ID, Status: string(t.Status), Description: t.Spec.Description,
		SrcCloudType: string(t.Spec.Src.CloudType), SrcRegion: t.Spec.Src.Region, SrcBucket: t.Spec.Src.Bucket,
		AppID: t.Spec.Src.AppID, DstRegion: t.Spec.Dst.Region, DstBucket: t.Spec.Dst.Bucket,
		CreateTime: millis(t.CreatedAt), LastStartTime: millis(t.StartedAt),
		EnableMetadataMigration: t.Spec.MigrateMetadata, EnableRestore: t.Spec.Restore, SourceCDN: cdnView(t.Spec.CDN),
		ObjectOverwriteMode: string(t.Spec.Overwrite), DstStoragePolicy: string(t.Spec.StoragePolicy),
		ConsistencyCheck: string(t.Spec.Consistency),
	}
}

// shownSync is the task as ShowSyncTask shows it (OMS v2, 4.21).
func shownSync(t oms.SyncTask, month oms.SyncCounts) omsv2.ShowSyncTaskResponse {
	v := syncView(t)
	return omsv2.ShowSyncTaskResponse{
		SyncTaskID: v.SyncTaskID, Status: v.Status, Description: v.Description,
		SrcCloudType: v.SrcCloudType, SrcRegion: v.SrcRegion, SrcBucket: v.SrcBucket,
		AppID: v.AppID, DstRegion: v.DstRegion, DstBucket: v.DstBucket,
		CreateTime: v.CreateTime, LastStartTime: v.LastStartTime,
		EnableMetadataMigration: v.EnableMetadataMigration, EnableRestore: v.EnableRestore, SourceCDN: v.SourceCDN,
		ObjectOverwriteMode: v.ObjectOverwriteMode, DstStoragePolicy: v.DstStoragePolicy, ConsistencyCheck: v.ConsistencyCheck,
		MonthlyAcceptanceRequest: month.Requests, MonthlySuccessObject: month.Successes, MonthlyFailureObject: month.Failures,
		MonthlySkipObject: month.Skips, MonthlySize: month.Bytes,
	}
}

// statisticView is a statistic as ListSyncTaskStatistic shows it (OMS v2, 4.26).
func statisticView(id string, series oms.SyncSeries, types []string) omsv2.SyncTaskStatistic {
	v := omsv2.SyncTaskStatistic{SyncTaskID: id, StatisticTimeType: "ONE_HOUR", StatisticDatas: make([]omsv2.StatisticData, 0, len(types))}
	if series.Span == oms.SpanFiveMinutes {
		v.StatisticTimeType = "FIVE_MINUTES"
	}
	for _, t := range types {
		data := omsv2.StatisticData{DataType: t, Data: make([]omsv2.StatisticPoint, 0, len(series.Points))}
		for _, p := range series.Points {
			data.Data = append(data.Data, omsv2.StatisticPoint{TimeStamp: p.At.UnixMilli(), StatisticNum: counted(t, p.SyncCounts)})
		}
		v.StatisticDatas = append(v.StatisticDatas, data)
	}
	return v
}

// counted returns the count of a type.
func counted(dataType string, c oms.SyncCounts) int64 {
	switch dataType {
	case omsv2.StatisticRequest:
		return c.Requests
	case omsv2.StatisticSuccess:
		return c.Successes
	case omsv2.StatisticFailure:
		return c.Failures
	case omsv2.StatisticSkip:
		return c.Skips
	default:
		return c.Bytes
	}
}
