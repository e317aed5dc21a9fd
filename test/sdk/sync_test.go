package sdk

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/oms/v2/model"

	"github.com/openoms/openoms/internal/testcloud"
)

// createSync makes a synchronization task as a user of the SDK does.
func (w *world) createSync() (string, error) {
	check := model.GetCreateSyncTaskReqConsistencyCheckEnum().TRANSMISSION
	resp, err := w.client.CreateSyncTask(&model.CreateSyncTaskRequest{Body: &model.CreateSyncTaskReq{
		SrcCloudType: new("AWS"), SrcRegion: "lab-a", SrcBucket: "source", SrcAk: srcAK, SrcSk: srcSK,
		DstRegion: "lab-b", DstBucket: "destination", DstAk: dstAK, DstSk: dstSK,
		Description: new("made by the SDK"), EnableMetadataMigration: new(true), ConsistencyCheck: &check,
	}})
	if err != nil {
		return "", err
	}
	return *resp.SyncTaskId, nil
}

func (w *world) sendEvents(id string, encoded ...string) error {
	_, err := w.client.CreateSyncEvents(&model.CreateSyncEventsRequest{SyncTaskId: id, Body: &model.SyncObjectReq{ObjectKeys: encoded}})
	return err
}

func (w *world) showSync(id string) (*model.ShowSyncTaskResponse, error) {
	return w.client.ShowSyncTask(&model.ShowSyncTaskRequest{SyncTaskId: id, QueryTime: time.Now().UnixMilli()})
}

func (w *world) stopSync(id string) error {
	_, err := w.client.StopSyncTask(&model.StopSyncTaskRequest{SyncTaskId: id})
	return err
}

func (w *world) startSync(id string) error {
	_, err := w.client.StartSyncTask(&model.StartSyncTaskRequest{SyncTaskId: id, Body: &model.StartSyncTaskReq{
		SrcAk: srcAK, SrcSk: srcSK, DstAk: dstAK, DstSk: dstSK,
	}})
	return err
}

func (w *world) deleteSync(id string) error {
	_, err := w.client.DeleteSyncTask(&model.DeleteSyncTaskRequest{SyncTaskId: id})
	return err
}

// The eight operations on synchronization tasks in the order of OMS v2, section 9: create, events, statistics, query,
// stop, start, stop, delete.
func TestSync(t *testing.T) {
	w := newWorld(t)
	id, err := w.createSync()
	if err != nil {
		t.Fatal(err)
	}
	w.src.Put("test/001.txt", []byte("with a slash"), testcloud.Attrs{})
	w.src.Put("test+001.txt", []byte("with a plus"), testcloud.Attrs{})
	if err := w.sendEvents(id, "test%2F001.txt", "test%2B001.txt", "missing"); err != nil {
		t.Fatal(err)
	}
	var shown *model.ShowSyncTaskResponse
	within(t, time.Minute, "events applied", func() bool {
		if shown, err = w.showSync(id); err != nil {
			t.Fatal(err)
		}
		return *shown.MonthlySuccessObject == 2 && *shown.MonthlyFailureObject == 1
	})
	if *shown.MonthlyAcceptanceRequest != 3 || *shown.MonthlySkipObject != 0 || *shown.MonthlySize != 23 ||
		*shown.SyncTaskId != id || shown.SrcCloudType.Value() != "AWS" || *shown.SrcBucket != "source" || *shown.DstRegion != "lab-b" ||
		*shown.Description != "made by the SDK" || !*shown.EnableMetadataMigration || *shown.EnableRestore ||
		shown.Status.Value() != "SYNCHRONIZING" || shown.ConsistencyCheck.Value() != "no_check" ||
		shown.ObjectOverwriteMode.Value() != "SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE" || shown.DstStoragePolicy.Value() != "STANDARD" ||
		time.Since(time.UnixMilli(*shown.CreateTime)) > time.Hour || *shown.LastStartTime < *shown.CreateTime {
		t.Errorf("answer to show: %s", shown)
	}
	for key, want := range map[string]string{"test/001.txt": "with a slash", "test+001.txt": "with a plus"} {
		if obj, ok := w.dst.Get(key); !ok || string(obj.Bytes()) != want {
			t.Errorf("%s has not arrived", key)
		}
	}
	w.checkStatistics(id)
	w.checkSyncList(id)

	refused(t, "start of a running task", w.startSync(id), http.StatusBadRequest, "OMS.1036")
	refused(t, "delete of a running task", w.deleteSync(id), http.StatusBadRequest, "OMS.1036")
	if err := w.stopSync(id); err != nil {
		t.Fatal(err)
	}
	refused(t, "second stop", w.stopSync(id), http.StatusBadRequest, "OMS.1036")
	refused(t, "events to a stopped task", w.sendEvents(id, "a"), http.StatusBadRequest, "OMS.1036")
	within(t, time.Minute, "lists of migrated and failed objects", func() bool {
		folder := func(kind string) bool {
			return slices.ContainsFunc(w.dst.Keys(), func(key string) bool {
				return strings.HasPrefix(key, "oms/sync_task/"+id+"/"+kind+"_object_lists/source-destination-")
			})
		}
		return folder("success") && folder("failed")
	})
	if err := w.startSync(id); err != nil {
		t.Fatal(err)
	}
	if again, err := w.showSync(id); err != nil || again.Status.Value() != "SYNCHRONIZING" || *again.LastStartTime <= *shown.LastStartTime {
		t.Errorf("after the second start: %s, %v", again, err)
	}
	if err := w.stopSync(id); err != nil {
		t.Fatal(err)
	}
	if err := w.deleteSync(id); err != nil {
		t.Fatal(err)
	}
	_, err = w.showSync(id)
	refused(t, "show of a deleted task", err, http.StatusNotFound, "OMS.1009")
	refused(t, "events to a deleted task", w.sendEvents(id, "a"), http.StatusNotFound, "OMS.1009")
	refused(t, "stop of a deleted task", w.stopSync(id), http.StatusNotFound, "OMS.1009")
	refused(t, "start of a deleted task", w.startSync(id), http.StatusNotFound, "OMS.1009")
	refused(t, "delete of a deleted task", w.deleteSync(id), http.StatusNotFound, "OMS.1009")
}

// checkStatistics asks for each type, and over more than a day.
func (w *world) checkStatistics(id string) {
	w.t.Helper()
	types := model.GetListSyncTaskStatisticRequestDataTypeEnum()
	now := time.Now()
	for typ, want := range map[model.ListSyncTaskStatisticRequestDataType]int64{
		types.REQUEST: 3, types.SUCCESS: 2, types.FAILURE: 1, types.SKIP: 0, types.SIZE: 23,
	} {
		for span, ago := range map[string]time.Duration{"FIVE_MINUTES": time.Hour, "ONE_HOUR": 48 * time.Hour} {
			resp, err := w.client.ListSyncTaskStatistic(&model.ListSyncTaskStatisticRequest{
				SyncTaskId: id, DataType: typ, StartTime: now.Add(-ago).UnixMilli(), EndTime: now.UnixMilli(),
			})
			if err != nil {
				w.t.Fatal(err)
			}
			var sum int64
			for _, series := range *resp.StatisticDatas {
				if series.DataType.Value() != typ.Value() {
					w.t.Errorf("series of %s, want %s", series.DataType.Value(), typ.Value())
				}
				for _, p := range *series.Data {
					sum += *p.StatisticNum
					if at := time.UnixMilli(*p.TimeStamp); now.Sub(at) > 2*time.Hour || at.After(now) {
						w.t.Errorf("period of %s", at)
					}
				}
			}
			if *resp.SyncTaskId != id || resp.StatisticTimeType.Value() != span || sum != want {
				w.t.Errorf("statistic of %s: %s, want %d in periods of %s", typ.Value(), resp, want, span)
			}
		}
	}
}

// checkSyncList finds the task by its state.
func (w *world) checkSyncList(id string) {
	w.t.Helper()
	for status, want := range map[string]int64{"SYNCHRONIZING": 1, "STOPPED": 0} {
		resp, err := w.client.ListSyncTasks(&model.ListSyncTasksRequest{Status: &status, Limit: new(int32(5)), Offset: new(int32(0))})
		if err != nil {
			w.t.Fatal(err)
		}
		if *resp.Count != want || int64(len(*resp.Tasks)) != want || want > 0 && *(*resp.Tasks)[0].SyncTaskId != id {
			w.t.Errorf("list of %s: %s", status, resp)
		}
	}
	_, err := w.client.ListSyncTasks(&model.ListSyncTasksRequest{Limit: new(int32(101))})
	refused(w.t, "too large a page", err, http.StatusBadRequest, "OMS.1003")
}

// A tenant may have five synchronization tasks (OMS v2, 6.11).
func TestSyncQuota(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		if _, err := w.createSync(); err != nil {
			t.Fatal(err)
		}
	}
	_, err := w.createSync()
	refused(t, "sixth task", err, http.StatusBadRequest, "OMS.0077")
}
