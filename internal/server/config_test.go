package server

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/region"
)

const sampleConfig = `
listen: 127.0.0.1:1
database: ""
log_level: debug
concurrency: 12
regions:
  - cloud_type: AWS
    region: lab-a
    endpoint: http://127.0.0.1:9000
    path_style: true
network:
  allow_private: true
  allow: [10.20.0.0/16]
time_zone: Asia/Kathmandu
limits:
  running_tasks_per_project: 7
  waiting_tasks_per_project: 0
  waiting_days: 0
  sync_tasks_per_project: 2
  waiting_names_per_sync_task: 1000
  running_groups_per_project: 2
  objects_per_group_task: 50000
notify:
  topics:
    "urn:smn:lab:project:oms": "https://hooks.example.org/x"
`

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "oms.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// load is Load with an environment from a map.
func load(flags, env map[string]string) (Config, error) {
	return Load(flags, func(name string) string { return env[name] })
}

func TestLoadDefaults(t *testing.T) {
	c, err := load(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Listen: "127.0.0.1:8480", DataDir: "./oms-data", LogFormat: "text", LogLevel: "info",
		TimeZone: "Local",
		Quota:    oms.Quota{MaxWaiting: oms.MaxWaiting, Running: 5, Waiting: 50, CreatedPerDay: 200, SyncTasks: 5, SyncEvents: 200_000},
		Groups:   oms.GroupLimits{Running: 5, CreatedPerDay: 200, TaskObjects: 100_000, TaskBytes: 3_000_000_000_000},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got, want := c.masterKeyFile(), filepath.Join("oms-data", "master.key"); got != want {
		t.Errorf("master key file %q, want %q", got, want)
	}
}

func TestLoadFile(t *testing.T) {
	c, err := load(map[string]string{"config": writeConfig(t, sampleConfig)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Listen: "127.0.0.1:1", DataDir: "./oms-data", Concurrency: 12, LogFormat: "text", LogLevel: "debug",
		Regions:      []region.Override{{CloudType: oms.CloudAWS, Region: "lab-a", Endpoint: "http://127.0.0.1:9000", PathStyle: true}},
		AllowPrivate: true, Allow: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")},
		TimeZone: "Asia/Kathmandu",
		Quota:    oms.Quota{Running: 7, Waiting: 0, CreatedPerDay: 200, SyncTasks: 2, SyncEvents: 1000},
		Groups:   oms.GroupLimits{Running: 2, CreatedPerDay: 200, TaskObjects: 50_000, TaskBytes: 3_000_000_000_000},
		Topics:   map[string]string{"urn:smn:lab:project:oms": "https://hooks.example.org/x"},
	}
	if diff := cmp.Diff(want, c, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Flags win over the environment, that over the file, that over the defaults.
func TestPrecedence(t *testing.T) {
	path := writeConfig(t, "listen: 127.0.0.1:1\nlog_level: warn\ndata_dir: /file\n")
	tests := []struct {
		name              string
		flags, env        map[string]string
		listen, level, at string
	}{
		{"default", nil, nil, "127.0.0.1:8480", "info", "./oms-data"},
		{"file by flag", map[string]string{"config": path}, nil, "127.0.0.1:1", "warn", "/file"},
		{"file by environment", nil, map[string]string{"OMS_CONFIG": path}, "127.0.0.1:1", "warn", "/file"},
		{"environment", nil, map[string]string{"OMS_CONFIG": path, "OMS_LISTEN": "127.0.0.1:2"}, "127.0.0.1:2", "warn", "/file"},
		{
			"flag",
			map[string]string{"listen": "127.0.0.1:3", "config": path},
			map[string]string{"OMS_LISTEN": "127.0.0.1:2", "OMS_CONFIG": "/does/not/exist"},
			"127.0.0.1:3", "warn", "/file",
		},
	}
	for _, tt := range tests {
		c, err := load(tt.flags, tt.env)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if c.Listen != tt.listen || c.LogLevel != tt.level || c.DataDir != tt.at {
			t.Errorf("%s: got %s %s %s, want %s %s %s", tt.name, c.Listen, c.LogLevel, c.DataDir, tt.listen, tt.level, tt.at)
		}
	}
}

func TestConfigMistakes(t *testing.T) {
	tests := []struct {
		name, file string
		flags, env map[string]string
		want       string // part of the message
	}{
		{name: "unknown key", file: "listen: 127.0.0.1:1\n\nlisten_addr: x\n", want: `line 3: unknown key "listen_addr"`},
		{name: "unknown inner key", file: "network:\n  allow_privat: true\n", want: `line 2: unknown key "allow_privat"`},
		{name: "unknown region key", file: "regions:\n  - cloud_type: AWS\n    regin: x\n", want: `line 3: unknown key "regin"`},
		{name: "wrong kind", file: "limits:\n  running_tasks_per_project: many\n", want: "line 2: the value \"many\" is of the wrong kind"},
		{name: "list for a value", file: "listen: [a]\n", want: "line 1: listen: want a single value"},
		{name: "not YAML", file: "listen: [\n", want: "line 1"},
		{name: "two documents", file: "listen: 127.0.0.1:1\n---\nlisten: x\n", want: "more than one document"},
		{name: "network", file: "network: {allow: [10.0.0.1]}\n", want: "not a network"},
		{name: "limit", file: "limits: {waiting_tasks_per_project: -1}\n", want: "waiting_tasks_per_project"},
		{name: "limit too large", file: "limits: {waiting_days: 100001}\n", want: "waiting_days"},
		{name: "limit that cannot be off", file: "limits: {objects_per_group_task: 0}\n", want: "objects_per_group_task"},
		{name: "missed window", file: "missed_window: 30s\n", want: "line 1: missed_window: want a duration from 1m to 744h"},
		{name: "zone", file: "time_zone: Mars/Olympus\n", want: "line 1: time_zone: want the name of a zone"},
		{name: "topic", file: "notify: {topics: {a: \"file:///etc/passwd\"}}\n", want: "notify.topics"},
		{name: "region", file: "regions: [{cloud_type: Moon, region: a, endpoint: \"http://h\"}]\n", want: `cloud_type "Moon"`},
		{name: "count in file", file: "concurrency: -1\n", want: "line 1: concurrency: want a number"},
		{name: "no file", flags: map[string]string{"config": "/does/not/exist"}, want: "no such file"},
		{name: "public", flags: map[string]string{"listen": "0.0.0.0:8480"}, want: "refusing plain HTTP"},
		{name: "public, no host", flags: map[string]string{"listen": ":8480"}, want: "refusing plain HTTP"},
		{name: "public, name", flags: map[string]string{"listen": "oms.example.org:80"}, want: "refusing plain HTTP"},
		{name: "private is public too", env: map[string]string{"OMS_LISTEN": "10.0.0.1:80"}, want: "refusing plain HTTP"},
		{name: "no port", flags: map[string]string{"listen": "127.0.0.1"}, want: "want host:port"},
		{name: "bad port", flags: map[string]string{"listen": "127.0.0.1:http"}, want: "port"},
		{name: "half of TLS", flags: map[string]string{"tls-cert": "c.pem"}, want: "belong together"},
		{name: "postgres", env: map[string]string{"OMS_DATABASE": "postgres://u:canary@h:x/d"}, want: "the database URL cannot be read"},
		{name: "postgres, parameter", env: map[string]string{"OMS_DATABASE": "postgres://u:canary@h/d?sslmode=canary"}, want: "the database URL cannot be read"},
		{name: "other database", flags: map[string]string{"database": "mysql://h"}, want: "begins with postgres://"},
		{name: "log format", flags: map[string]string{"log-format": "xml"}, want: "neither text nor json"},
		{name: "log level", env: map[string]string{"OMS_LOG_LEVEL": "loud"}, want: "loud"},
		{name: "count", env: map[string]string{"OMS_CONCURRENCY": "x"}, want: `OMS_CONCURRENCY="x": want a number`},
		{name: "switch", flags: map[string]string{"no-workers": "maybe"}, want: "want true or false"},
		{name: "no data directory", flags: map[string]string{"data-dir": ""}, want: "data directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			flags := tt.flags
			if tt.file != "" {
				flags = map[string]string{"config": writeConfig(t, tt.file)}
			}
			_, err := load(flags, tt.env)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want an error with %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "server.") {
				t.Errorf("%v: holds a password or a Go type", err)
			}
		})
	}
}

func TestListenAddresses(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "[::1]:8480", "localhost:80", "127.8.9.1:1", "[::ffff:127.0.0.1]:1"} {
		if err := checkListen(listen, false); err != nil {
			t.Errorf("%s: %v", listen, err)
		}
	}
	if err := checkListen("0.0.0.0:443", true); err != nil {
		t.Errorf("with TLS: %v", err)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(sampleConfig))
	f.Add([]byte("regions: [{}]\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("? {}\n: 1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c := DefaultConfig()
		if err := c.parse(text); err == nil {
			_ = c.Validate()
		}
	})
}
