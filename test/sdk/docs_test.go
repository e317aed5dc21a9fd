package sdk

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/testcloud"
)

// docs runs the examples of docs/api.md.
type docs struct {
	*caller
	photos *testcloud.Bucket
	id     string // $ID: what the latest creation has answered
}

const exampleKey, exampleSecret = "AKEXAMPLE", "SKEXAMPLE"

// TestExamples runs every example of docs/api.md as it stands there, against a service whose regions lead to stores of
// the test. Each must succeed. Between them happens what the text takes for granted, such as a group that has failed.
func TestExamples(t *testing.T) {
	for _, tool := range []string{"sh", "curl", "sed", "tr"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the examples need %s: %v", tool, err)
		}
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "api.md"))
	if err != nil {
		t.Fatal(err)
	}
	d := newDocs(t)
	sections := regexp.MustCompile(`(?m)^##+ `).Split(string(text), -1)
	examples := regexp.MustCompile("(?s)```(sh|go)\n(.*?)```")
	ran := 0
	for _, section := range sections {
		title, body, _ := strings.Cut(section, "\n")
		for i, m := range examples.FindAllStringSubmatch(body, -1) {
			t.Run(fmt.Sprintf("%s %d", title, i+1), func(t *testing.T) {
				d.t = t
				d.prepare(title)
				switch m[1] {
				case "sh":
					d.shell(m[2])
				case "go":
					d.program(m[2])
				}
			})
			ran++
		}
	}
	if ran < 30 {
		t.Errorf("%d examples ran: the pattern does not find them", ran)
	}
}

func newDocs(t *testing.T) *docs {
	t.Helper()
	src, srcURL := startCloud(t, exampleKey, exampleSecret, "eu-west-1")
	dst, dstURL := startCloud(t, exampleKey, exampleSecret, "cn-north-4")
	ali, aliURL := startCloud(t, exampleKey, exampleSecret, "oss-cn-beijing")
	d := &docs{photos: src.CreateBucket("photos")}
	ali.CreateBucket("photos")
	dst.CreateBucket("backup")
	dst.CreateBucket("lists").Put("urls.txt", []byte("http://example.org/a\ta\n"), testcloud.Attrs{ContentType: "text/plain"})
	for i := range 1000 {
		d.photos.PutAt(fmt.Sprintf("2024/%04d.jpg", i), []byte("photo"), testcloud.Attrs{ContentType: "image/jpeg"}, time.Now().Add(-time.Hour))
	}
	// Slow enough for tasks to be stopped while they run.
	dst.Faults.Add(testcloud.Rule{
		Ops: []testcloud.Op{testcloud.PutObject}, Fault: testcloud.Delay(2 * time.Second),
		Key: func(key string) bool { return strings.HasPrefix(key, "aws/") },
	})
	dst.Faults.Add(testcloud.Rule{
		Ops: []testcloud.Op{testcloud.PutObject}, Key: testcloud.KeyIs("2023/refused.jpg"), Fault: testcloud.Fail(400, "InvalidRequest"),
	})
	d.photos.Put("2023/refused.jpg", []byte("photo"), testcloud.Attrs{})
	d.caller = newCaller(t, startConfigured(t, t.TempDir(), fmt.Sprintf(`listen: 127.0.0.1:0
regions:
  - {cloud_type: AWS, region: eu-west-1, endpoint: %q, path_style: true}
  - {cloud_type: HuaweiCloud, region: cn-north-4, endpoint: %q, path_style: true}
  - {cloud_type: Aliyun, region: oss-cn-beijing, endpoint: %q, path_style: true}
`, srcURL, dstURL, aliURL)))
	return d
}

// prepare makes what the examples of a section expect.
func (d *docs) prepare(title string) {
	d.t.Helper()
	root := "/v2/" + project
	task, group := root+"/tasks/"+d.id, root+"/taskgroups/"+d.id
	const src = `"cloud_type":"AWS","region":"eu-west-1","ak":"AKEXAMPLE","sk":"SKEXAMPLE","bucket":"photos"`
	const dst = `"dst_node":{"region":"cn-north-4","ak":"AKEXAMPLE","sk":"SKEXAMPLE","bucket":"backup"}`
	switch title {
	case "StopTask":
		d.until(task, running)
	case "StartTask":
		d.until(task, paused)
	case "DeleteTask":
		d.until(task, running)
		d.ok("POST", task+"/stop", "")
		d.until(task, paused)
	case "StopTaskGroup, StartTaskGroup":
		if d.ok("GET", group, "")["status"] == float64(groupPausing) {
			d.until(group, groupPaused)
			return
		}
		d.until(group, groupMonitoring)
	case "RetryTaskGroup":
		created := d.ok("POST", root+"/taskgroups", `{"src_node":{`+src+`,"object_key":["nothing/"]},`+dst+`}`)
		d.until(root+"/taskgroups/"+created["group_id"].(string), groupCreationFailed)
		d.id = created["group_id"].(string)
	case "UpdateTaskGroup":
		created := d.ok("POST", root+"/taskgroups", `{"src_node":{`+src+`,"object_key":[""]},"dst_node":{"region":"cn-north-4",
		  "ak":"AKEXAMPLE","sk":"SKEXAMPLE","bucket":"backup","save_prefix":"aws/"}}`)
		d.id = created["group_id"].(string)
		d.until(root+"/taskgroups/"+d.id, groupMonitoring)
	case "DeleteTaskGroup":
		d.until(group, groupMonitoring)
		d.ok("PUT", group+"/stop", "")
		d.until(group, groupPaused)
	case "ListFailures":
		created := d.ok("POST", root+"/tasks", `{"task_type":"object","src_node":{`+src+`,"object_key":["2023/refused.jpg"]},`+dst+`}`)
		d.id = fmt.Sprintf("%.0f", created["id"])
		d.until(root+"/tasks/"+d.id, failed)
	}
}

func (d *docs) until(path string, status float64) {
	d.t.Helper()
	within(d.t, time.Minute, fmt.Sprintf("%s in state %v", path, status), func() bool { return d.ok("GET", path, "")["status"] == status })
}

// shell runs a block line by line as a user would, with the variables of the text. Each answer must be 200.
func (d *docs) shell(text string) {
	d.t.Helper()
	cmd := exec.Command("sh", "-eu", "-c", `curl() {
	case " $* " in
	*" -N "*) command curl --silent --show-error --fail-with-body --max-time 2 "$@" || [ $? -eq 28 ] ;; # a stream may have no end
	*) command curl --silent --show-error --fail-with-body "$@" ;;
	esac
	echo
}
`+text+`
echo "TOKEN=$TOKEN"`)
	cmd.Env = append(os.Environ(), "OMS="+d.url, "PROJECT="+project, "TOKEN="+d.token, "PASSWORD="+password, "ID="+d.id)
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.t.Fatalf("%v\n%s\n%s", err, text, out)
	}
	for line := range strings.Lines(string(out)) {
		if token, ok := strings.CutPrefix(strings.TrimSpace(line), "TOKEN="); ok {
			if token == "" {
				d.t.Error("no token")
			}
			d.token = token
		}
		var answer struct {
			ID         json.Number `json:"id"`
			TaskName   string      `json:"task_name"`
			GroupID    string      `json:"group_id"`
			SyncTaskID string      `json:"sync_task_id"`
			Assessment string      `json:"assessment_id"`
			Status     any         `json:"status"`
		}
		if json.Unmarshal([]byte(line), &answer) != nil || answer.Status != nil {
			continue
		}
		switch { // an answer to a creation
		case answer.TaskName != "":
			d.id = answer.ID.String()
		case answer.GroupID != "":
			d.id = answer.GroupID
		case answer.Assessment != "":
			d.id = answer.Assessment
		case answer.SyncTaskID != "" && strings.Count(line, ":") == 1:
			d.id = answer.SyncTaskID
		}
	}
}

// program runs a Go program in this module.
func (d *docs) program(text string) {
	d.t.Helper()
	file := filepath.Join(d.t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	cmd := exec.Command("go", "run", file)
	cmd.Env = append(os.Environ(), "OMS="+d.url, "PROJECT="+project, "OMS_AK="+apiAK, "OMS_SK="+apiSK)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "tasks") {
		d.t.Fatalf("%v\n%s", err, out)
	}
}
