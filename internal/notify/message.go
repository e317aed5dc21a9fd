package notify

import (
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// message is what is sent to a topic.
type message struct {
	id       string // the same in all attempts
	topic    string // URN
	subject  string // one line
	body     string
	at       time.Time // of the end
	tags     map[string]string
	template string // name of a template of the receiver; "" for none
}

// chinese is the language of SMNConfig beside en-us.
const chinese = "zh-cn"

// words are what differs between the languages.
type words struct {
	subject           string // with tags
	task, group       string
	succeeded, failed string
	lines             []line
}

// line is one line of the text: it is left out when its tag has no value.
type line struct{ label, tag string }

// Tags that only the text uses, not the templates of receivers.
const (
	tagKind    = "kind"
	tagReason  = "reason"
	tagObjects = "objects"
)

// english is the text for en-us and for no language.
func english() words {
	return words{
		subject: "[OpenOMS] {kind} {Task_Name}: {Task_Status}",
		task:    "Migration task", group: "Migration task group", succeeded: "succeeded", failed: "failed",
		lines: []line{
			{"Name", "Task_Name"},
			{"Status", "Task_Status"},
			{"Reason", tagReason},
			{"Start time", "Start_Time"},
			{"Total time used", "Total_Time_Used"},
			{"Objects (migrated / skipped / failed)", tagObjects},
			{"Transferred data", "Transferred_Data"},
			{"Average speed", "Average_Speed"},
			{"Source bucket", "Source_Bucket"},
			{"Destination bucket", "Destination_Bucket"},
			{"List file bucket", "List_File_Bucket"},
			{"List file", "List_File_Key"},
			{"List of succeeded objects", "Success_object_list_path"},
			{"List of skipped objects", "Skip_object_list_path"},
			{"List of failed objects", "Failed_object_list_path"},
		},
	}
}

// inChinese is the text for zh-cn.
func inChinese() words {
	return words{
		subject: "[OpenOMS] {kind} {Task_Name}{Task_Status}",
		task:    "迁移任务", group: "迁移任务组", succeeded: "成功", failed: "失败",
		lines: []line{
			{"名称", "Task_Name"},
			{"状态", "Task_Status"},
			{"失败原因", tagReason},
			{"开始时间", "Start_Time"},
			{"总耗时", "Total_Time_Used"},
			{"对象数（成功 / 忽略 / 失败）", tagObjects},
			{"已传输数据量", "Transferred_Data"},
			{"平均速度", "Average_Speed"},
			{"源端桶", "Source_Bucket"},
			{"目的端桶", "Destination_Bucket"},
			{"列表文件所在桶", "List_File_Bucket"},
			{"列表文件", "List_File_Key"},
			{"成功对象列表", "Success_object_list_path"},
			{"忽略对象列表", "Skip_object_list_path"},
			{"失败对象列表", "Failed_object_list_path"},
		},
	}
}

// compose returns the message about an end.
func compose(n oms.Notice) message {
	c := n.Content
	w := english()
	if c.SMN.Language == chinese {
		w = inChinese()
	}
	m := message{
		id: messageID(n.NoticeRef), topic: c.SMN.TopicURN, at: c.EndedAt.UTC(),
		tags: tags(c, w), template: c.SMN.TemplateName,
	}
	all := map[string]string{tagKind: w.task, tagReason: reason(c), tagObjects: objects(c.Counters)}
	if n.GroupID != "" {
		all[tagKind] = w.group
	}
	maps.Copy(all, m.tags)
	m.subject = fill(w.subject, all)
	var b strings.Builder
	b.WriteString(m.subject + "\n\n")
	for _, l := range w.lines {
		if v := all[l.tag]; v != "" {
			b.WriteString(l.label + ": " + v + "\n")
		}
	}
	m.body = b.String()
	return m
}

// messageID names the end that a message is about.
func messageID(ref oms.NoticeRef) string {
	generation := strconv.FormatInt(ref.Generation, 10)
	if ref.GroupID != "" {
		return "group-" + ref.GroupID + "-" + generation
	}
	return "task-" + strconv.FormatInt(ref.TaskID, 10) + "-" + generation
}

// tags are the values of OMS v2, 6.9. What there is not is empty.
func tags(c oms.NoticeContent, w words) map[string]string {
	status := w.failed
	if c.Succeeded {
		status = w.succeeded
	}
	start := ""
	if !c.StartedAt.IsZero() {
		start = c.StartedAt.UTC().Format(time.RFC3339)
	}
	return map[string]string{
		"Task_Status":              status,
		"Task_Name":                tidy(c.Name),
		"Start_Time":               start,
		"Total_Time_Used":          c.RunFor.Round(time.Second).String(),
		"Transferred_Data":         size(float64(c.Counters.MovedBytes)),
		"Average_Speed":            speed(c.Counters.MovedBytes, c.RunFor),
		"Source_Bucket":            tidy(c.SrcBucket),
		"Destination_Bucket":       tidy(c.DstBucket),
		"List_File_Bucket":         tidy(c.ListBucket),
		"List_File_Key":            tidy(c.ListKey),
		"Success_object_list_path": "", // lists of succeeded and skipped objects are not written
		"Skip_object_list_path":    "",
		"Failed_object_list_path":  tidy(c.FailedList),
	}
}

// fill puts values in the place of their names in braces, once: values are not looked through.
func fill(text string, values map[string]string) string {
	pairs := make([]string, 0, 2*len(values))
	for name, value := range values {
		pairs = append(pairs, "{"+name+"}", value)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// reason is why a task failed, "" otherwise.
func reason(c oms.NoticeContent) string {
	if c.Succeeded || c.Reason == nil {
		return ""
	}
	return tidy(c.Reason.Code + " " + c.Reason.Message)
}

func objects(c oms.Counters) string {
	return strconv.FormatInt(c.Migrated, 10) + " / " + strconv.FormatInt(c.Skipped, 10) + " / " + strconv.FormatInt(c.Failed, 10)
}

// speed is in bytes per second over the time that the task ran.
func speed(bytes int64, d time.Duration) string {
	if d <= 0 {
		return size(0) + "/s"
	}
	return size(float64(bytes)/d.Seconds()) + "/s"
}

// size prints bytes with three digits and a binary unit.
func size(bytes float64) string {
	const step = 1024
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	i := 0
	for bytes >= step && i < len(units)-1 {
		bytes /= step
		i++
	}
	digits := 0
	if i > 0 {
		digits = 2
	}
	return strconv.FormatFloat(bytes, 'f', digits, 64) + " " + units[i]
}

// maxValue bounds one value of a message: the longest name of an object, in bytes.
const maxValue = 1024

// tidy makes foreign text one line that cannot be taken for anything else: names hold any bytes (rule S7).
func tidy(s string) string {
	const piece = 200 // oms.Clean keeps that much as it is
	s = strings.ToValidUTF8(s[:min(len(s), maxValue)], "?")
	var b strings.Builder
	for s != "" {
		n := min(len(s), piece)
		for n < len(s) && s[n]&0xc0 == 0x80 { // inside of a character
			n++
		}
		b.WriteString(oms.Clean(s[:n]))
		s = s[n:]
	}
	return b.String()
}
