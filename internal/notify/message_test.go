package notify

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/openoms/openoms/internal/oms"
)

const (
	project = "0123456789abcdef"
	urn     = "urn:smn:lab:" + project + ":oms"
)

// succeeded is a message about a list task that has succeeded.
func succeeded() oms.Notice {
	return oms.Notice{
		NoticeRef: oms.NoticeRef{TaskID: 200429548242937, Generation: 2}, ProjectID: project, Tries: 1,
		Content: oms.NoticeContent{
			SMN:  oms.SMNConfig{TopicURN: urn, TriggerConditions: []string{"SUCCESS"}, Language: "en-us"},
			Name: "photos-backup-1767225600000", Succeeded: true,
			StartedAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), EndedAt: time.Date(2026, 1, 1, 0, 1, 1, 0, time.UTC),
			RunFor: 61*time.Second + 400*time.Millisecond, Counters: oms.Counters{Migrated: 7, Skipped: 2, MovedBytes: 64 << 20},
			SrcBucket: "photos", DstBucket: "backup", ListBucket: "lists", ListKey: "keys.txt",
		},
	}
}

// failedGroup is a message in Chinese about a group that has failed.
func failedGroup() oms.Notice {
	n := succeeded()
	n.NoticeRef = oms.NoticeRef{GroupID: "157ece42-3270-4824-a3d2-f0187a03ca01", Generation: 1}
	c := &n.Content
	c.SMN.Language, c.Name, c.Succeeded = "zh-cn", n.GroupID, false
	c.Reason = &oms.ErrorReason{Code: "TRF.0004", Message: "Some tasks of the group failed."}
	c.Counters.Failed, c.ListBucket, c.ListKey = 1, "", ""
	c.FailedList = "oms/task_group/157ece42-3270-4824-a3d2-f0187a03ca01/failed_object_lists/"
	return n
}

func TestCompose(t *testing.T) {
	tests := []struct {
		name, id, subject, body string
		notice                  oms.Notice
	}{
		{
			name: "english success", notice: succeeded(), id: "task-200429548242937-2",
			subject: "[OpenOMS] Migration task photos-backup-1767225600000: succeeded",
			body: `[OpenOMS] Migration task photos-backup-1767225600000: succeeded

Name: photos-backup-1767225600000
Status: succeeded
Start time: 2026-01-01T00:00:00Z
Total time used: 1m1s
Objects (migrated / skipped / failed): 7 / 2 / 0
Transferred data: 64.00 MiB
Average speed: 1.04 MiB/s
Source bucket: photos
Destination bucket: backup
List file bucket: lists
List file: keys.txt
`,
		},
		{
			name: "chinese failure of a group", notice: failedGroup(), id: "group-157ece42-3270-4824-a3d2-f0187a03ca01-1",
			subject: "[OpenOMS] 迁移任务组 157ece42-3270-4824-a3d2-f0187a03ca01失败",
			body: `[OpenOMS] 迁移任务组 157ece42-3270-4824-a3d2-f0187a03ca01失败

名称: 157ece42-3270-4824-a3d2-f0187a03ca01
状态: 失败
失败原因: TRF.0004 Some tasks of the group failed.
开始时间: 2026-01-01T00:00:00Z
总耗时: 1m1s
对象数（成功 / 忽略 / 失败）: 7 / 2 / 1
已传输数据量: 64.00 MiB
平均速度: 1.04 MiB/s
源端桶: photos
目的端桶: backup
失败对象列表: oms/task_group/157ece42-3270-4824-a3d2-f0187a03ca01/failed_object_lists/
`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := compose(tt.notice)
			if m.id != tt.id || m.subject != tt.subject || m.topic != urn {
				t.Errorf("got id %q, subject %q, topic %q", m.id, m.subject, m.topic)
			}
			if diff := cmp.Diff(tt.body, m.body); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

// The tags are those of OMS v2, 6.9, all of them in every message.
func TestTags(t *testing.T) {
	want := map[string]string{
		"Task_Status": "failed", "Task_Name": "t", "Start_Time": "", "Total_Time_Used": "0s", "Transferred_Data": "0 B", "Average_Speed": "0 B/s",
		"Source_Bucket": "", "Destination_Bucket": "d", "List_File_Bucket": "", "List_File_Key": "", "Success_object_list_path": "",
		"Skip_object_list_path": "", "Failed_object_list_path": "oms/task/t/failed_object_lists/1.failed_list.txt",
	}
	got := compose(oms.Notice{Content: oms.NoticeContent{
		Name: "t", DstBucket: "d", FailedList: "oms/task/t/failed_object_lists/1.failed_list.txt",
	}}).tags
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

// Rule S7: names of others neither end a line nor are looked through for tags.
func TestForeignText(t *testing.T) {
	n := succeeded()
	n.Content.Name, n.Content.ListKey = "a\r\nBcc: x@example.org\r\n{Source_Bucket}", strings.Repeat("é", 600)+"\xff"
	m := compose(n)
	if want := "[OpenOMS] Migration task a??Bcc: x@example.org??{Source_Bucket}: succeeded"; m.subject != want {
		t.Errorf("subject: got %q, want %q", m.subject, want)
	}
	if got := m.tags["List_File_Key"]; !utf8.ValidString(got) || len(got) != maxValue || strings.Contains(got, "...") {
		t.Errorf("a long name: got %d bytes %q", len(got), got)
	}
}

func TestSize(t *testing.T) {
	for _, tt := range []struct {
		bytes float64
		want  string
	}{{0, "0 B"}, {1023, "1023 B"}, {1024, "1.00 KiB"}, {1.5 * (1 << 30), "1.50 GiB"}, {1 << 63, "8.00 EiB"}} {
		if got := size(tt.bytes); got != tt.want {
			t.Errorf("%g: got %s, want %s", tt.bytes, got, tt.want)
		}
	}
}
