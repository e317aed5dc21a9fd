package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// edit returns body with the member at path ("src_node.bucket") set to the JSON text value; "" removes it.
func edit(t *testing.T, body, path, value string) string {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatal(err)
	}
	names := strings.Split(path, ".")
	at := doc
	for _, name := range names[:len(names)-1] {
		next, ok := at[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[name] = next
		}
		at = next
	}
	last := names[len(names)-1]
	if value == "" {
		delete(at, last)
	} else {
		at[last] = json.RawMessage(value)
	}
	out, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func quoted(n int) string { return `"` + strings.Repeat("x", n) + `"` }

// Every constraint of CreateTask (OMS v2, 3 and 4.4). Nothing is stored.
func TestCreateTaskRefusals(t *testing.T) {
	many := `["` + strings.Repeat(`k","`, 500) + `k"]`
	period := func(start, end string, limit int) string {
		return fmt.Sprintf(`{"start":%q,"end":%q,"max_bandwidth":%d}`, start, end, limit)
	}
	cdn := func(members string) string {
		return `{"domain":"cdn.example.org","protocol":"https","authentication_type":"NONE"` + members + `}`
	}
	tests := []struct{ path, value, want string }{
		// Mandatory members, missing and null.
		{"src_node", "", "OMS.1004"},
		{"src_node", "null", "OMS.1004"},
		{"dst_node", "", "OMS.1004"},
		{"dst_node", "null", "OMS.1004"},
		{"src_node.region", "", "OMS.1004"},
		{"src_node.ak", "", "OMS.1004"},
		{"src_node.sk", "null", "OMS.1004"},
		{"src_node.bucket", "", "OMS.1004"},
		{"src_node.object_key", "", "OMS.1004"},
		{"src_node.object_key", "[]", "OMS.1004"},
		{"src_node.object_key", "[null]", "OMS.1004"},
		{"dst_node.region", "", "OMS.1004"},
		{"dst_node.ak", "null", "OMS.1004"},
		{"dst_node.sk", "", "OMS.1004"},
		{"dst_node.bucket", "", "OMS.1004"},
		// Lengths, ranges, enumerations.
		{"task_type", `"OBJECT"`, "OMS.1003"},
		{"task_type", `""`, "OMS.1003"},
		{"task_type", `"list"`, "OMS.0061"},
		{"task_type", `"url_list"`, "OMS.0057"},
		{"description", quoted(256), "OMS.1003"},
		{"description", `"a\u0000b"`, "OMS.1003"},
		{"description", `"a^b"`, "OMS.0078"},
		{"description", `"a<b"`, "OMS.0078"},
		{"description", `"a>b"`, "OMS.0078"},
		{"description", `"a&b"`, "OMS.0078"},
		{"description", `"a\"b"`, "OMS.0078"},
		{"description", `"a'b"`, "OMS.0078"},
		{"migrate_since", "-1", "OMS.1003"},
		{"migrate_since", "1767225600000", "OMS.1003"}, // milliseconds
		{"migrate_since", "99999999999999999999", "OMS.1003"},
		{"migrate_since", "1.5", "OMS.1010"},
		{"migrate_since", "1e3", "OMS.1010"},
		{"object_overwrite_mode", `"full_overwrite"`, "OMS.1003"},
		{"dst_storage_policy", `"COLD"`, "OMS.1003"},
		{"consistency_check", `"transmission"`, "OMS.1003"},
		{"consistency_check", `"no_check"`, "OMS.1003"},
		{"task_priority", `"high"`, "OMS.1003"},
		{"task_priority", `""`, "OMS.1003"},
		{"enable_restore", "1", "OMS.1010"},
		{"enable_kms", "1", "OMS.1010"},
		// Traffic limits.
		{"bandwidth_policy", "[null]", "OMS.1004"},
		{"bandwidth_policy", "[1]", "OMS.1010"},
		{"bandwidth_policy", `[{"start":"08:00","end":"09:00"}]`, "OMS.1004"},
		{"bandwidth_policy", `[{"end":"09:00","max_bandwidth":1048576}]`, "OMS.1004"},
		{"bandwidth_policy", `[{"start":"08:00","max_bandwidth":1048576}]`, "OMS.1004"},
		{"bandwidth_policy", `[{"start":8,"end":"09:00","max_bandwidth":1048576}]`, "OMS.1010"},
		{"bandwidth_policy", `[{"start":"08:00","end":"09:00","max_bandwidth":"1048576"}]`, "OMS.1010"},
		{"bandwidth_policy", "[" + period("08:00", "09:00", 1048575) + "]", "OMS.0084"},
		{"bandwidth_policy", "[" + period("08:00", "09:00", 209715201) + "]", "OMS.0084"},
		{"bandwidth_policy", "[" + period("8:00", "09:00", 1048576) + "]", "OMS.0087"},
		{"bandwidth_policy", "[" + period("24:00", "24:01", 1048576) + "]", "OMS.0087"},
		{"bandwidth_policy", "[" + period("22:00", "06:00", 1048576) + "]", "OMS.0087"},
		{"bandwidth_policy", "[" + period("08:00", "09:00", 1048576) + "," + period("09:00", "10:00", 1048576) + "]", "OMS.0085"},
		{"bandwidth_policy", "[" + strings.Repeat(period("08:00", "09:00", 1048576)+",", 5) + period("08:00", "09:00", 1048576) + "]", "OMS.0083"},
		// The source.
		{"src_node.cloud_type", `"aws"`, "OMS.1003"},
		{"src_node.cloud_type", `"HEC"`, "OMS.1003"},
		{"src_node.cloud_type", `"URLSource"`, "OMS.0057"},
		{"src_node.cloud_type", `"Azure"`, "OMS.1003"}, // the secret key is no account's
		{"src_node.cloud_type", `"Qiniu"`, "OMS.0079"},
		{"src_node.cloud_type", `"Tencent"`, "OMS.0057"}, // app_id is ""
		{"src_node.app_id", quoted(256), "OMS.1003"},
		{"src_node.app_id", `"1/2"`, "OMS.0057"},
		{"src_node.region", `""`, "OMS.1003"},
		{"src_node.region", `"nowhere"`, "OMS.0079"},
		{"src_node.region", `"lab-a/x"`, "OMS.0079"},
		{"src_node.ak", `""`, "OMS.1003"},
		{"src_node.ak", quoted(101), "OMS.1003"},
		{"src_node.ak", `"a\r\nb"`, "OMS.1003"},
		{"src_node.sk", quoted(101), "OMS.1003"},
		{"src_node.security_token", quoted(16385), "OMS.1003"},
		{"src_node.security_token", `"a\nb"`, "OMS.1003"},
		{"src_node.connection_string", quoted(2049), "OMS.1003"},
		{"src_node.connection_string", `"x"`, "OMS.1003"},
		{"src_node.json_auth_file", quoted(65536), "OMS.1003"},
		{"src_node.json_auth_file", `"{}"`, "OMS.1003"},
		{"src_node.bucket", `""`, "OMS.1003"},
		{"src_node.bucket", quoted(256), "OMS.1003"},
		{"src_node.bucket", `"a/b"`, "OMS.0057"},
		{"src_node.bucket", `".."`, "OMS.0057"},
		{"src_node.bucket", `"a..b"`, "OMS.0057"},
		{"src_node.bucket", `"a@b"`, "OMS.0057"},
		{"src_node.object_key", `"a"`, "OMS.1010"},
		{"src_node.object_key", "[1]", "OMS.1010"},
		{"src_node.object_key", many, "OMS.1003"},
		{"src_node.object_key", "[" + quoted(1025) + "]", "OMS.1003"},
		{"src_node.object_key", "[" + quoted(1021) + "]", "OMS.1003"}, // with save_prefix "aws/"
		{"src_node.list_file", `{"list_file_key":"l.txt","obs_bucket":"lists"}`, "OMS.0061"},
		{"src_node.list_file", `{"list_file_key":1}`, "OMS.1010"},
		{"src_node.crypto_type", `"KMS"`, "OMS.1003"},
		{"src_node.crypto_type", `"default"`, "OMS.1003"},
		{"src_node.kms_key_id", quoted(35), "OMS.1003"},
		{"src_node.kms_key_id", quoted(37), "OMS.1003"},
		// The destination.
		{"dst_node.cloud_type", `"Azure"`, "OMS.1003"},
		{"dst_node.cloud_type", `"hec"`, "OMS.1003"},
		{"dst_node.region", `"nowhere"`, "OMS.0080"},
		{"dst_node.region", `""`, "OMS.1003"},
		{"dst_node.ak", `""`, "OMS.1003"},
		{"dst_node.sk", quoted(101), "OMS.1003"},
		{"dst_node.security_token", quoted(16385), "OMS.1003"},
		{"dst_node.bucket", `"a b"`, "OMS.0058"},
		{"dst_node.bucket", `"-"`, ""},
		{"dst_node.save_prefix", quoted(1025), "OMS.1003"},
		{"dst_node.crypto_type", `"KMS"`, "OMS.1003"},
		{"dst_node.kms_key_id", quoted(1), "OMS.1003"},
		// The CDN.
		{"source_cdn", `{}`, "OMS.1004"},
		{"source_cdn", cdn(""), ""},
		{"source_cdn", `{"protocol":"http","authentication_type":"NONE"}`, "OMS.1004"},
		{"source_cdn", `{"domain":"d","authentication_type":"NONE"}`, "OMS.1004"},
		{"source_cdn", `{"domain":"d","protocol":"http"}`, "OMS.1004"},
		{"source_cdn", `{"domain":"","protocol":"http","authentication_type":"NONE"}`, "OMS.1003"},
		{"source_cdn", `{"domain":"http://d","protocol":"http","authentication_type":"NONE"}`, "OMS.1003"},
		{"source_cdn", `{"domain":"d/e","protocol":"http","authentication_type":"NONE"}`, "OMS.1003"},
		{"source_cdn", `{"domain":"u@d","protocol":"http","authentication_type":"NONE"}`, "OMS.1003"},
		{"source_cdn", `{"domain":"d:","protocol":"http","authentication_type":"NONE"}`, "OMS.1003"},
		{"source_cdn", `{"domain":"d:8080","protocol":"https","authentication_type":"NONE"}`, ""},
		{"source_cdn", `{"domain":"d","protocol":"https","authentication_type":"none"}`, "OMS.1003"},
		{"source_cdn", `{"domain":"d","protocol":"https","authentication_type":"QINIU_PRIVATE_AUTHENTICATION"}`, ""},
		{"source_cdn", `{"domain":"d","protocol":"https","authentication_type":"KSYUN_PRIVATE_AUTHENTICATION"}`, ""},
		{"source_cdn", `{"domain":"d","protocol":"https","authentication_type":"AZURE_SAS_TOKEN","authentication_key":"?sv=1&sig=%2B"}`, ""},
		{"source_cdn", `{"domain":"d","protocol":"https","authentication_type":"AZURE_SAS_TOKEN","authentication_key":"a b"}`, "OMS.1003"},
		{"source_cdn", `{"domain":"d","protocol":"https","authentication_type":"TENCENT_COS_D","authentication_key":"a\nb"}`, "OMS.1003"},
		{"source_cdn", `{"domain":"d","protocol":"https","authentication_type":"TENCENT_COS_D","authentication_key":"k","crypto_type":"KMS"}`, "OMS.1003"},
		{"source_cdn", `{"domain":"d","protocol":"ftp","authentication_type":"NONE"}`, "OMS.1003"},
		{"source_cdn", `{"domain":"d","protocol":"http","authentication_type":"ALIYUN_OSS_A"}`, "OMS.1032"},
		{"source_cdn", `{"domain":"d","protocol":"http","authentication_type":"ALIYUN_OSS_A","authentication_key":` + quoted(256) + `}`, "OMS.1003"},
		// Notifications.
		{"smn_config", `{"trigger_conditions":["SUCCESS"]}`, "OMS.1004"},
		{"smn_config", `{"topic_urn":"urn:smn:r:p:t"}`, "OMS.1004"},
		{"smn_config", `{"topic_urn":"urn:smn:r:p:t","trigger_conditions":[]}`, "OMS.1003"},
		{"smn_config", `{"topic_urn":"urn:smn:r:p:t","trigger_conditions":["FAIL"]}`, "OMS.1003"},
		{"smn_config", `{"topic_urn":"urn:smn:r:p:t","trigger_conditions":["FAILURE","SUCCESS","FAILURE"]}`, "OMS.1003"},
		{"smn_config", `{"topic_urn":"urn:smn:r:p:t","trigger_conditions":["SUCCESS"],"language":"de"}`, "OMS.1003"},
		{"smn_config", `{"topic_urn":"urn:smn:r:p","trigger_conditions":["SUCCESS"]}`, "OMS.0169"},
		{"smn_config", `{"topic_urn":"urn:smn:r:p:","trigger_conditions":["SUCCESS"]}`, "OMS.0169"},
		{"smn_config", `{"topic_urn":"https://hooks.example.org/x","trigger_conditions":["SUCCESS"]}`, "OMS.0169"},
	}
	for _, tt := range tests {
		t.Run(tt.path+" "+tt.value[:min(len(tt.value), 40)], func(t *testing.T) {
			h := newHarness(newFakeTasks())
			w := h.do("POST", base, edit(t, create, tt.path, tt.value))
			if got := code(t, w); got != tt.want {
				t.Errorf("code = %q, want %q: %s", got, tt.want, w.Body)
			}
			if tt.want != "" && (w.Code != http.StatusBadRequest || h.tasks.changes != 0) {
				t.Errorf("status %d, %d tasks stored, want 400 and none", w.Code, h.tasks.changes)
			}
		})
	}
}

// What is unusual and allowed.
func TestCreateTaskAccepts(t *testing.T) {
	longest := `["` + strings.Repeat(strings.Repeat("\u4e2d", 1020)+`","`, 499) + `"]`
	tests := []struct{ path, value string }{
		{"task_type", `"prefix"`},
		{"src_node.object_key", longest},
		{"src_node.object_key", `["\ud83d\ude00","\\ud800","a\u0000b","../x","//"]`},
		{"src_node.list_file", `{"list_file_key":"","obs_bucket":""}`},
		{"src_node.cloud_type", `"Google"`},
		{"src_node.security_token", `""`},
		{"src_node.json_auth_file", `""`},
		{"description", `"(nightly) 每晚"`},
		{"bandwidth_policy", "[]"},
		{"bandwidth_policy", `[{"start":"00:00","end":"23:59","max_bandwidth":209715200}]`},
		{"migrate_since", "0"},
		{"object_overwrite_mode", `"CRC64_COMPARISON_OVERWRITE"`},
		{"dst_storage_policy", `"SRC_STORAGE_MAPPING"`},
		{"dst_node.cloud_type", `"AWS"`},
		{"dst_node.save_prefix", `""`},
		{"unknown", `{"deep":[[[[1]]]]}`},
	}
	for _, tt := range tests {
		t.Run(tt.path+" "+tt.value[:min(len(tt.value), 40)], func(t *testing.T) {
			h := newHarness(newFakeTasks())
			if w := h.do("POST", base, edit(t, create, tt.path, tt.value)); w.Code != http.StatusOK || h.tasks.changes != 1 {
				t.Errorf("status %d, %d stored: %s", w.Code, h.tasks.changes, w.Body)
			}
		})
	}
}

// OMS v2, 8, row 28, and what would never end.
func TestCreateTaskOntoItself(t *testing.T) {
	tests := []struct {
		taskType, keys, prefix, bucket string
		want                           string
	}{
		{"prefix", `[""]`, "", "photos", "OMS.0058"},
		{"prefix", `[""]`, "copy/", "photos", "OMS.0058"}, // the copies are listed as well
		{"prefix", `["a/"]`, "copy/", "photos", ""},
		{"prefix", `["a/","copy/"]`, "copy/", "photos", "OMS.0058"},
		{"prefix", `["c"]`, "copy/", "photos", "OMS.0058"},
		{"prefix", `["x","copy/xy"]`, "copy/", "photos", "OMS.0058"}, // x… may be xy
		{"object", `["a.jpg"]`, "", "photos", "OMS.0058"},
		{"object", `["a.jpg"]`, "copy/", "photos", ""},
		{"object", `["c"]`, "copy/", "photos", ""},
		{"object", `["a","copy/a"]`, "copy/", "photos", "OMS.0058"},
		{"object", `["a/","b"]`, "a/", "photos", "OMS.0058"},
		{"prefix", `[""]`, "", "backup", ""},
	}
	for _, tt := range tests {
		body := create
		for path, value := range map[string]string{
			"task_type": `"` + tt.taskType + `"`, "src_node.object_key": tt.keys, "dst_node.region": `"lab-a"`,
			"dst_node.save_prefix": `"` + tt.prefix + `"`, "dst_node.bucket": `"` + tt.bucket + `"`,
		} {
			body = edit(t, body, path, value)
		}
		if got := code(t, newHarness(newFakeTasks()).do("POST", base, body)); got != tt.want {
			t.Errorf("%+v: code %q", tt, got)
		}
	}
}

func TestOtherRefusals(t *testing.T) {
	const (
		startPath = base + "/7/start"
		bandPath  = base + "/7/bandwidth-policy"
		batchPath = base + "/batch-update"
		failPath  = "/ext/v1/" + project + "/tasks/7/failures"
		retryPath = "/ext/v1/" + project + "/tasks/7/retry"
	)
	without := func(path string) string { return edit(t, start, path, "") }
	with := func(path, value string) string { return edit(t, start, path, value) }
	tests := []struct{ method, path, body, want string }{
		// StartTask.
		{"POST", startPath, "", "OMS.0067"},
		{"POST", startPath, "null", "OMS.1004"},
		{"POST", startPath, "[]", "OMS.1010"},
		{"POST", startPath, "{}", "OMS.1004"},
		{"POST", startPath, without("src_ak"), "OMS.1004"},
		{"POST", startPath, without("src_sk"), "OMS.1004"},
		{"POST", startPath, without("dst_ak"), "OMS.1004"},
		{"POST", startPath, without("dst_sk"), "OMS.1004"},
		{"POST", startPath, with("dst_sk", "null"), "OMS.1004"},
		{"POST", startPath, with("dst_sk", `""`), "OMS.1003"},
		{"POST", startPath, with("src_ak", quoted(101)), "OMS.1003"},
		{"POST", startPath, with("src_security_token", quoted(16385)), "OMS.1003"},
		{"POST", startPath, with("dst_security_token", quoted(16385)), "OMS.1003"},
		{"POST", startPath, with("connection_string", `"x"`), "OMS.1003"},
		{"POST", startPath, with("json_auth_file", `"x"`), "OMS.1003"},
		{"POST", startPath, with("source_cdn_authentication_key", quoted(256)), "OMS.1003"},
		{"POST", startPath, with("src_crypto_type", `"KMS"`), "OMS.1003"},
		{"POST", startPath, with("dst_crypto_type", `"x"`), "OMS.1003"},
		{"POST", startPath, with("source_cdn_crypto_type", `"KMS"`), "OMS.1003"},
		{"POST", startPath, with("dst_kms_key_id", `"x"`), "OMS.1003"},
		{"POST", base + "/x/start", start, "OMS.0054"},
		{"POST", base + "/8/start", start, "OMS.1009"},
		// UpdateBandwidthPolicy.
		{"PUT", bandPath, "{}", "OMS.1004"},
		{"PUT", bandPath, `{"bandwidth_policy":null}`, "OMS.1004"},
		{"PUT", bandPath, `{"bandwidth_policy":{}}`, "OMS.1010"},
		{"PUT", bandPath, `{"bandwidth_policy":[{"start":"10:00","end":"09:00","max_bandwidth":1048576}]}`, "OMS.0087"},
		{"PUT", base + "/-1/bandwidth-policy", `{"bandwidth_policy":[]}`, "OMS.0054"},
		{"PUT", base + "/8/bandwidth-policy", `{"bandwidth_policy":[]}`, "OMS.1009"},
		// BatchUpdateTasks.
		{"POST", batchPath, `{"ids":[7]}`, "OMS.1004"},
		{"POST", batchPath, `{"bandwidth_policy":[]}`, "OMS.1003"},
		{"POST", batchPath, `{"ids":[],"bandwidth_policy":[]}`, "OMS.1003"},
		{"POST", batchPath, `{"ids":[7],"group_id":"g","bandwidth_policy":[]}`, "OMS.1003"},
		{"POST", batchPath, `{"group_id":"","bandwidth_policy":[]}`, "OMS.1003"},
		{"POST", batchPath, `{"group_id":` + quoted(37) + `,"bandwidth_policy":[]}`, "OMS.1003"},
		{"POST", batchPath, `{"group_id":"a\u0000","bandwidth_policy":[]}`, "OMS.1003"},
		{"POST", batchPath, `{"ids":["7"],"bandwidth_policy":[]}`, "OMS.1010"},
		{"POST", batchPath, `{"ids":[null],"bandwidth_policy":[]}`, "OMS.1010"},
		{"POST", batchPath, `{"ids":[-1],"bandwidth_policy":[]}`, "OMS.1003"},
		{"POST", batchPath, `{"ids":[9223372036854775808],"bandwidth_policy":[]}`, "OMS.1003"},
		{"POST", batchPath, `{"ids":[` + strings.Repeat("7,", 20) + `7],"bandwidth_policy":[]}`, "OMS.1003"},
		{"POST", batchPath, `{"ids":[7],"bandwidth_policy":[],"task_priority":"URGENT"}`, "OMS.1003"},
		{"POST", batchPath, `{"ids":[8],"bandwidth_policy":[]}`, "OMS.1009"},
		{"POST", batchPath, `{"ids":[9223372036854775807],"bandwidth_policy":[]}`, "OMS.1009"},
		{"POST", batchPath, `{"group_id":"nobody","bandwidth_policy":[]}`, "OMS.1009"},
		// ListTasks.
		{"GET", base + "?limit=101", "", "OMS.1003"},
		{"GET", base + "?limit=-1", "", "OMS.1003"},
		{"GET", base + "?limit=", "", "OMS.1010"},
		{"GET", base + "?limit=ten", "", "OMS.1010"},
		{"GET", base + "?limit=1.0", "", "OMS.1010"},
		{"GET", base + "?limit=1&limit=2", "", "OMS.1003"},
		{"GET", base + "?limit=99999999999999999999", "", "OMS.1003"},
		{"GET", base + "?offset=-1", "", "OMS.1003"},
		{"GET", base + "?offset=2147483648", "", "OMS.1003"},
		{"GET", base + "?status=0", "", "OMS.1003"},
		{"GET", base + "?status=8", "", "OMS.1003"},
		{"GET", base + "?status=paused", "", "OMS.1010"},
		{"GET", base + "?group_id=", "", "OMS.1003"},
		{"GET", base + "?group_id=" + strings.Repeat("g", 101), "", "OMS.1003"},
		{"GET", base + "?task_name=" + strings.Repeat("n", 256), "", "OMS.1003"},
		{"GET", base + "?task_name=%00", "", "OMS.1003"},
		{"GET", base + "?task_name=%ff", "", "OMS.1003"},
		{"GET", base + "?task_name=%zz", "", "OMS.0004"},
		// Task ids.
		{"GET", base + "/999999999999999", "", "OMS.1009"},
		{"GET", base + "/1000000000000000", "", "OMS.0054"},
		{"GET", base + "/99999999999999999999", "", "OMS.0054"},
		{"GET", base + "/+7", "", "OMS.0054"},
		{"GET", base + "/7%2Fstart", "", "OMS.0054"},
		{"GET", base + "/%EF%BC%97", "", "OMS.0054"}, // a wide digit
		{"DELETE", base + "/x", "", "OMS.0054"},
		{"DELETE", base + "/8", "", "OMS.1009"},
		{"POST", base + "/x/stop", "", "OMS.0054"},
		{"POST", base + "/8/stop", "", "OMS.1009"},
		// ListFailures.
		{"GET", failPath + "?limit=0", "", "OMS.1003"},
		{"GET", failPath + "?limit=1001", "", "OMS.1003"},
		{"GET", failPath + "?after=%25zz", "", "OMS.1003"},
		{"GET", failPath + "?after=" + strings.Repeat("a", 16385), "", "OMS.1003"},
		{"GET", failPath + "?group_by=size", "", "OMS.1003"},
		{"GET", failPath + "?code=a,,b", "", "OMS.1003"},
		{"GET", failPath + "?code=%27", "", "OMS.1003"},
		{"GET", failPath + "?code=" + strings.Repeat("a,", 100) + "a", "", "OMS.1003"},
		{"GET", failPath + "?prefix=" + strings.Repeat("a", 1025), "", "OMS.1003"},
		{"GET", "/ext/v1/" + project + "/tasks/8/failures?group_by=code", "", "OMS.1009"},
		// RetryTask.
		{"POST", retryPath, "", "OMS.0067"},
		{"POST", retryPath, without("dst_ak"), "OMS.1004"},
		{"POST", retryPath, without("src_ak"), "OMS.1004"},
		{"POST", retryPath, with("codes", `"X"`), "OMS.1010"},
		{"POST", retryPath, with("codes", `["a b"]`), "OMS.1003"},
		{"POST", retryPath, with("codes", `[""]`), "OMS.1003"},
		{"POST", retryPath, with("codes", `["`+strings.Repeat("a", 65)+`"]`), "OMS.1003"},
		{"POST", "/ext/v1/" + project + "/tasks/x/retry", start, "OMS.0054"},
		{"POST", "/ext/v1/" + project + "/tasks/8/retry", start, "OMS.1009"},
		{"GET", "/ext/v1/" + project + "/tasks/x/failures", "", "OMS.0054"},
		{"GET", "/ext/v1/" + project + "/tasks/8/failures", "", "OMS.1009"},
	}
	for _, tt := range tests {
		name := tt.method + " " + tt.path[:min(len(tt.path), 80)] + " " + tt.body[:min(len(tt.body), 60)]
		t.Run(name, func(t *testing.T) {
			h := newHarness(newFakeTasks(task(7, oms.StatusPaused)))
			w := h.do(tt.method, tt.path, tt.body)
			if got := code(t, w); got != tt.want {
				t.Errorf("code = %q, want %q: %s", got, tt.want, w.Body)
			}
			if w.Code != http.StatusBadRequest || h.tasks.changes != 0 {
				t.Errorf("status %d, %d changes, want 400 and none", w.Code, h.tasks.changes)
			}
		})
	}
}

// A body that is no JSON, or JSON that cannot be taken as it is.
func TestNotJSON(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"empty", "", "OMS.0067"},
		{"text", "hello", "OMS.0067"},
		{"cut off", create[:100], "OMS.0067"},
		{"two documents", create + create, "OMS.0067"},
		{"invalid UTF-8", strings.Replace(create, "a.jpg", "a\xff.jpg", 1), "OMS.0067"},
		{"half a surrogate", strings.Replace(create, "a.jpg", `a\ud800.jpg`, 1), "OMS.0067"},
		{"second half first", strings.Replace(create, "a.jpg", `\udc00\ud800`, 1), "OMS.0067"},
		{"half before an escape", strings.Replace(create, "a.jpg", `\ud800\u0041`, 1), "OMS.0067"},
		{"array", "[]", "OMS.1010"},
		{"string", `"x"`, "OMS.1010"},
		{"null", "null", "OMS.1004"},
		{"empty object", "{}", "OMS.1004"},
		{"empty SDK request", `{"src_node":null,"dst_node":null}` + "\n", "OMS.1004"},
		{"too deep", strings.Replace(create, `"nightly"`, strings.Repeat("[", 32)+strings.Repeat("]", 32), 1), "OMS.1003"},
		{"deep enough", strings.Replace(create, `"older field"`, strings.Repeat("[", 31)+strings.Repeat("]", 31), 1), ""},
		{"names are exact", strings.Replace(create, `"src_node"`, `"SRC_NODE"`, 1), "OMS.1004"},
		{"brackets in strings", strings.Replace(create, "nightly", strings.Repeat("[", 100), 1), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness(newFakeTasks())
			w := h.do("POST", base, tt.body)
			if got := code(t, w); got != tt.want {
				t.Errorf("code = %q, want %q: %s", got, tt.want, w.Body)
			}
			if tt.want != "" && h.tasks.changes != 0 {
				t.Error("a task was stored")
			}
		})
	}
}

// Each member of the request types is read with its type: a value of another type is OMS.1010 and names the
// member. So the types of omsv2 and what is decoded cannot drift apart.
func TestMistypedMembers(t *testing.T) {
	full := edit(t, create, "source_cdn", `{"domain":"d","protocol":"http","authentication_type":"NONE"}`)
	tests := []struct {
		method, path, body string
		request            any
	}{
		{"POST", base, full, omsv2.CreateTaskRequest{}},
		{"POST", base + "/7/start", start, omsv2.StartTaskRequest{}},
		{"PUT", base + "/7/bandwidth-policy", `{"bandwidth_policy":[]}`, omsv2.UpdateBandwidthPolicyRequest{}},
		{"POST", base + "/batch-update", `{"ids":[7],"bandwidth_policy":[]}`, omsv2.BatchUpdateTasksRequest{}},
	}
	for _, tt := range tests {
		for _, m := range members(reflect.TypeOf(tt.request), "") {
			t.Run(tt.method+" "+m.path, func(t *testing.T) {
				h := newHarness(newFakeTasks(task(7, oms.StatusPaused)))
				w := h.do(tt.method, tt.path, edit(t, tt.body, m.path, m.mistyped))
				if got := code(t, w); got != "OMS.1010" || !strings.Contains(w.Body.String(), "field "+m.path+" ") {
					t.Errorf("%s = %s: %s, want OMS.1010 that names it", m.path, m.mistyped, w.Body)
				}
				if h.tasks.changes != 0 {
					t.Error("something was stored")
				}
			})
		}
	}
}

type member struct{ path, mistyped string }

// members returns the JSON members of a request type, nested ones included, each with a value of a wrong type.
func members(typ reflect.Type, prefix string) []member {
	var out []member
	for field := range fieldsOf(typ) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		ft := field.Type
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		wrong := map[reflect.Kind]string{
			reflect.String: "1", reflect.Bool: `"true"`, reflect.Int64: `"1"`, reflect.Slice: "{}", reflect.Struct: "[]",
		}[ft.Kind()]
		out = append(out, member{prefix + name, wrong})
		if ft.Kind() == reflect.Struct {
			out = append(out, members(ft, prefix+name+".")...)
		}
	}
	return out
}

// fieldsOf yields the fields of a struct type.
func fieldsOf(typ reflect.Type) func(func(reflect.StructField) bool) {
	return slices.Values(reflect.VisibleFields(typ))
}

// What is wrong with a number is said in its terms.
func TestWholeNumbers(t *testing.T) {
	for body, want := range map[string]string{
		`{"n":9223372036854775808}`:  "The field n is too large: it must be at most 9223372036854775807.",
		`{"n":-9223372036854775809}`: "The field n must be at least 0.",
		`{"n":-1}`:                   "The field n must be at least 0.",
		`{"n":1.5}`:                  "The field n must be a whole number.",
		`{"n":9223372036854775807}`:  "",
	} {
		f, err := decodeBody([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		f.integer("n", 0, math.MaxInt64)
		got := ""
		if e, ok := errors.AsType[*oms.Error](*f.err); ok {
			got = e.Msg
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
}
