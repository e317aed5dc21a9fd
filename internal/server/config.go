package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones on machines that have no table of them

	"go.yaml.in/yaml/v3"

	"github.com/openoms/openoms/internal/db"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/region"
	"github.com/openoms/openoms/internal/telemetry"
	"github.com/openoms/openoms/internal/transfer"
)

// Config is everything that an operator can set. Make it with [Load] or [DefaultConfig]; the zero value is
// not valid.
type Config struct {
	Listen      string // host:port; port 0 picks one
	DataDir     string
	Database    string // "" is the embedded database in DataDir
	Concurrency int    // objects in flight in this process; 0 is automatic
	// MinConcurrency are requests in flight to a bucket that are never given up, for each kind; 0 is automatic.
	MinConcurrency int
	Memory         int64  // bytes of buffers for objects in flight; 0 is automatic
	PartSize       int64  // bytes of the parts of large objects; 0 is automatic
	NoWorkers      bool   // API only
	NoObjectLists  bool   // tasks write no lists of migrated and skipped objects unless they ask for them
	MasterKeyFile  string // "" is master.key in DataDir
	TLSCert        string // both or none
	TLSKey         string
	LogFormat      string // text or json
	LogLevel       string // debug, info, warn, error

	TimeZone     string        // of traffic limits and of times in lists, as time.LoadLocation takes it
	MissedWindow time.Duration // how late a due time of a schedule is made up for; 0 is 24 hours
	Regions      []region.Override
	AllowPrivate bool
	Allow        []netip.Prefix
	Quota        oms.Quota
	Groups       oms.GroupLimits
	Archives     Archives
	Topics       map[string]string // smn_config.topic_urn to the URL that its messages really go to; they hold secrets
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		Listen:    "127.0.0.1:8480",
		DataDir:   "./oms-data",
		LogFormat: string(telemetry.FormatText),
		LogLevel:  "info",
		TimeZone:  "Local",
		Quota:     oms.Quota{MaxWaiting: oms.MaxWaiting, Running: 5, Waiting: 50, CreatedPerDay: 200, SyncTasks: 5, SyncEvents: 200_000},
		Groups: oms.GroupLimits{
			Running: 5, CreatedPerDay: 200, TaskObjects: oms.DefaultTaskObjects, TaskBytes: oms.DefaultTaskBytes,
		},
	}
}

// Setting is one value of the configuration with its flag, its environment variable and its key in the file.
// The key is the flag with underscores.
type Setting struct {
	Flag  string
	Env   string // "" when there is none
	Value string // what the value is called in help; "" for a switch
	Usage string

	set func(c *Config, value string) error
}

// ConfigFlag and ConfigEnv name the configuration file.
const (
	ConfigFlag = "config"
	ConfigEnv  = "OMS_CONFIG"
)

// Settings returns the settings that have a flag, in the order of the manual.
func Settings() []Setting {
	text := func(field func(*Config) *string) func(*Config, string) error {
		return func(c *Config, v string) error {
			*field(c) = v
			return nil
		}
	}
	return []Setting{
		{
			Flag: "listen", Env: "OMS_LISTEN", Value: "ADDR", Usage: "address of the API; port 0 picks one (default 127.0.0.1:8480)",
			set: text(func(c *Config) *string { return &c.Listen }),
		},
		{
			Flag: "data-dir", Env: "OMS_DATA_DIR", Value: "DIR",
			Usage: "embedded database, master key and first credentials (default ./oms-data)",
			set:   text(func(c *Config) *string { return &c.DataDir }),
		},
		{
			Flag: "database", Env: "OMS_DATABASE", Value: "URL", Usage: "PostgreSQL database, postgres://USER:PASSWORD@HOST/NAME (default SQLite in the data directory)",
			set: text(func(c *Config) *string { return &c.Database }),
		},
		{
			Flag: "concurrency", Env: "OMS_CONCURRENCY", Value: "N",
			Usage: "most objects in flight in this process (default automatic)",
			set:   func(c *Config, v string) error { return setCount(&c.Concurrency, v) },
		},
		{
			Flag: "min-concurrency", Env: "OMS_MIN_CONCURRENCY", Value: "N",
			Usage: "requests of a kind that a store is always sent at the same time, whatever it makes of them (default automatic)",
			set:   func(c *Config, v string) error { return setCount(&c.MinConcurrency, v) },
		},
		{
			Flag: "memory", Env: "OMS_MEMORY", Value: "SIZE",
			Usage: "most memory for the buffers of objects in flight, at least 64MiB (default 64MiB)",
			set: func(c *Config, v string) (err error) {
				c.Memory, err = ParseMemory(v)
				return err
			},
		},
		{
			Flag: "part-size", Env: "OMS_PART_SIZE", Value: "SIZE",
			Usage: "size of the parts of large objects, from 1MiB to 64MiB, as far as the destination allows it (default automatic)",
			set: func(c *Config, v string) (err error) {
				c.PartSize, err = ParsePartSize(v)
				return err
			},
		},
		{
			Flag: "no-workers", Usage: "serve the API only and move nothing",
			set: func(c *Config, v string) (err error) {
				if c.NoWorkers, err = strconv.ParseBool(v); err != nil {
					return errors.New("want true or false")
				}
				return nil
			},
		},
		{
			Flag: "no-object-lists", Env: "OMS_NO_OBJECT_LISTS",
			Usage: "tasks write no lists of migrated and skipped objects unless they ask for them",
			set: func(c *Config, v string) (err error) {
				if c.NoObjectLists, err = strconv.ParseBool(v); err != nil {
					return errors.New("want true or false")
				}
				return nil
			},
		},
		{
			Flag: "master-key-file", Env: "OMS_MASTER_KEY_FILE", Value: "FILE",
			Usage: "key that encrypts every stored credential (default DATA_DIR/master.key, made once)",
			set:   text(func(c *Config) *string { return &c.MasterKeyFile }),
		},
		{
			Flag: "tls-cert", Env: "OMS_TLS_CERT", Value: "FILE", Usage: "certificate chain in PEM; makes the API speak HTTPS",
			set: text(func(c *Config) *string { return &c.TLSCert }),
		},
		{
			Flag: "tls-key", Env: "OMS_TLS_KEY", Value: "FILE", Usage: "private key of the certificate in PEM",
			set: text(func(c *Config) *string { return &c.TLSKey }),
		},
		{
			Flag: "time-zone", Env: "OMS_TIME_ZONE", Value: "ZONE",
			Usage: "zone of traffic limits and of times in lists, such as Asia/Shanghai (default that of this machine)",
			set: func(c *Config, v string) (err error) {
				if _, err = time.LoadLocation(v); err != nil || v == "" {
					return errors.New("want the name of a zone such as Europe/Berlin, UTC or Local")
				}
				c.TimeZone = v
				return nil
			},
		},
		{
			Flag: "missed-window", Env: "OMS_MISSED_WINDOW", Value: "DURATION",
			Usage: "how late a due time of a schedule is made up for when the service was away, from 1m to 744h (default 24h)",
			set: func(c *Config, v string) (err error) {
				if c.MissedWindow, err = time.ParseDuration(v); err != nil || c.MissedWindow < time.Minute || c.MissedWindow > maxMissedWindow {
					return errors.New("want a duration from 1m to 744h, such as 24h")
				}
				return nil
			},
		},
		{
			Flag: "log-format", Env: "OMS_LOG_FORMAT", Value: "FORMAT", Usage: "text or json, on stderr (default text)",
			set: text(func(c *Config) *string { return &c.LogFormat }),
		},
		{
			Flag: "log-level", Env: "OMS_LOG_LEVEL", Value: "LEVEL", Usage: "debug, info, warn or error (default info)",
			set: text(func(c *Config) *string { return &c.LogLevel }),
		},
	}
}

// maxMissedWindow bounds how far back due times are looked for: some milliseconds for one of every minute.
const maxMissedWindow = 31 * day

func setCount(n *int, v string) error {
	parsed, err := strconv.Atoi(v)
	if err != nil || parsed < 0 || parsed > MaxConcurrency {
		return fmt.Errorf("want a number from 0 to %d", MaxConcurrency)
	}
	*n = parsed
	return nil
}

// ParseMemory reads the size of the buffers of a process.
func ParseMemory(v string) (int64, error) {
	n, err := ParseSize(v)
	if err != nil || n < transfer.MaxBuffer {
		return 0, errors.New("want a size of at least 64MiB, such as 512MiB")
	}
	return n, nil
}

// ParsePartSize reads the size of the parts of large objects.
func ParsePartSize(v string) (int64, error) {
	n, err := ParseSize(v)
	if err != nil || n < minPartSize || n > transfer.MaxBuffer {
		return 0, errors.New("want a size from 1MiB to 64MiB, such as 16MiB")
	}
	return n, nil
}

// minPartSize is the smallest size of parts that may be asked for: each part is a request.
const minPartSize = 1 << 20

// MaxConcurrency bounds the objects in flight that may be asked for: each object in flight costs a connection on both sides.
const MaxConcurrency = 10_000

// Load returns the configuration: flags win over the environment, that over the file, that over the defaults.
// flags holds the flags that were given, by name. Every error is a mistake of the operator and says what to
// change.
func Load(flags map[string]string, getenv func(string) string) (Config, error) {
	c := DefaultConfig()
	path, given := flags[ConfigFlag]
	if !given {
		path = getenv(ConfigEnv)
	}
	if path != "" {
		if err := c.readFile(path); err != nil {
			return Config{}, err
		}
	}
	for _, s := range Settings() {
		if v := getenv(s.Env); s.Env != "" && v != "" {
			if err := s.set(&c, v); err != nil {
				return Config{}, fmt.Errorf("%s=%q: %w", s.Env, v, err)
			}
		}
		if v, ok := flags[s.Flag]; ok {
			if err := s.set(&c, v); err != nil {
				return Config{}, fmt.Errorf("--%s %q: %w", s.Flag, v, err)
			}
		}
	}
	if err := c.Validate(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// Validate checks the values against one another and against what this machine is asked to expose.
func (c *Config) Validate() error {
	if c.Database != "" {
		if err := db.ParseURL(c.Database); err != nil {
			return fmt.Errorf("--database: %w", err)
		}
	}
	if c.DataDir == "" {
		return errors.New("data directory: a path is needed")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key belong together: give both or none")
	}
	if err := checkListen(c.Listen, c.TLSCert != ""); err != nil {
		return err
	}
	if _, err := telemetry.ParseFormat(c.LogFormat); err != nil {
		return err
	}
	if _, err := telemetry.ParseLevel(c.LogLevel); err != nil {
		return err
	}
	if _, err := region.New(c.Regions); err != nil {
		return fmt.Errorf("regions: %w", err)
	}
	return nil
}

// checkListen refuses plain HTTP on an address that others can reach (rule S13).
func checkListen(listen string, tls bool) error { //nolint:revive // whether TLS is on decides what is allowed
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("--listen %q: want host:port", listen)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("--listen %q: the port is a number from 0 to 65535", listen)
	}
	if tls || loopback(host) {
		return nil
	}
	return fmt.Errorf("--listen %q: refusing plain HTTP on an address that others can reach; "+
		"give --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy that ends TLS", listen)
}

// loopback reports whether host is this machine only.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// file is the configuration file. Pointers tell what was written.
type file struct {
	Scalars map[string]yaml.Node `yaml:",inline"`
	Regions []fileRegion         `yaml:"regions"`
	Network fileNetwork          `yaml:"network"`
	Limits  fileLimits           `yaml:"limits"`
	Restore fileRestore          `yaml:"restore"`
	Classes fileClasses          `yaml:"storage_classes"`
	Notify  fileNotify           `yaml:"notify"`
}

type fileRegion struct {
	CloudType oms.CloudType `yaml:"cloud_type"`
	Region    string        `yaml:"region"`
	Name      string        `yaml:"name"`
	Endpoint  string        `yaml:"endpoint"`
	PathStyle bool          `yaml:"path_style"`
}

type fileNetwork struct {
	AllowPrivate bool     `yaml:"allow_private"`
	Allow        []string `yaml:"allow"`
}

type fileLimits struct {
	Running *int `yaml:"running_tasks_per_project"`
	Waiting *int `yaml:"waiting_tasks_per_project"`
	PerDay  *int `yaml:"created_tasks_per_day"`
	Days    *int `yaml:"waiting_days"`

	SyncTasks  *int `yaml:"sync_tasks_per_project"`
	SyncEvents *int `yaml:"waiting_names_per_sync_task"`

	RunningGroups *int   `yaml:"running_groups_per_project"`
	GroupsPerDay  *int   `yaml:"created_groups_per_day"`
	TaskObjects   *int64 `yaml:"objects_per_group_task"`
	TaskBytes     *int64 `yaml:"bytes_per_group_task"`
}

type fileNotify struct {
	Topics map[string]string `yaml:"topics"`
}

// maxConfigFile bounds the file that is read, in bytes.
const maxConfigFile = 1 << 20

func (c *Config) readFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("configuration file: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxConfigFile))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("configuration file: %w", err)
	}
	if err := c.parse(text); err != nil {
		return fmt.Errorf("configuration file %s: %w", path, err)
	}
	return nil
}

// parse reads the YAML of a configuration file over c. Unknown keys are errors that name the line.
func (c *Config) parse(text []byte) error {
	var f file
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return readable(err)
	}
	if err := dec.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return errors.New("more than one document")
	}
	if err := c.applyScalars(f.Scalars); err != nil {
		return err
	}
	for _, r := range f.Regions {
		c.Regions = append(c.Regions, region.Override(r))
	}
	c.AllowPrivate = f.Network.AllowPrivate
	for _, text := range f.Network.Allow {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("network.allow: %q is not a network such as 10.20.0.0/16", text)
		}
		c.Allow = append(c.Allow, p)
	}
	if err := c.applyLimits(f.Limits); err != nil {
		return err
	}
	if err := c.Archives.apply(f.Restore, f.Classes); err != nil {
		return err
	}
	return c.applyTopics(f.Notify.Topics)
}

// applyScalars sets what has a flag as well.
func (c *Config) applyScalars(nodes map[string]yaml.Node) error {
	known := map[string]Setting{}
	for _, s := range Settings() {
		known[strings.ReplaceAll(s.Flag, "-", "_")] = s
	}
	for _, key := range slices.SortedFunc(maps.Keys(nodes), func(a, b string) int { return nodes[a].Line - nodes[b].Line }) {
		node := nodes[key]
		s, ok := known[key]
		if !ok {
			return fmt.Errorf("line %d: unknown key %q", node.Line, key)
		}
		if node.Kind != yaml.ScalarNode {
			return fmt.Errorf("line %d: %s: want a single value", node.Line, key)
		}
		if err := s.set(c, node.Value); err != nil {
			return fmt.Errorf("line %d: %s: %w", node.Line, key, err)
		}
	}
	return nil
}

func (c *Config) applyLimits(l fileLimits) error {
	days := int(c.Quota.MaxWaiting / day)
	defer func() { c.Quota.MaxWaiting = time.Duration(days) * day }()
	return errors.Join(
		quota("waiting_days", l.Days, &days),
		quota("running_tasks_per_project", l.Running, &c.Quota.Running),
		quota("waiting_tasks_per_project", l.Waiting, &c.Quota.Waiting),
		quota("created_tasks_per_day", l.PerDay, &c.Quota.CreatedPerDay),
		quota("sync_tasks_per_project", l.SyncTasks, &c.Quota.SyncTasks),
		limit("waiting_names_per_sync_task", l.SyncEvents, &c.Quota.SyncEvents),
		quota("running_groups_per_project", l.RunningGroups, &c.Groups.Running),
		quota("created_groups_per_day", l.GroupsPerDay, &c.Groups.CreatedPerDay),
		limit("objects_per_group_task", l.TaskObjects, &c.Groups.TaskObjects),
		limit("bytes_per_group_task", l.TaskBytes, &c.Groups.TaskBytes),
	)
}

// day is the unit of waiting_days, and maxQuota bounds quotas so that they count in every unit.
const (
	day      = 24 * time.Hour
	maxQuota = 100_000
)

// quota sets a quota that the file names; 0 is none.
func quota(name string, from, to *int) error {
	if from == nil {
		return nil
	}
	if *from < 0 || *from > maxQuota {
		return fmt.Errorf("limits.%s: want a number from 1 to %d, or 0 for no limit", name, maxQuota)
	}
	*to = *from
	return nil
}

// limit sets a limit that the file names and that cannot be switched off.
func limit[T int | int64](name string, from, to *T) error {
	if from == nil {
		return nil
	}
	if *from < 1 {
		return fmt.Errorf("limits.%s: want a number from 1", name)
	}
	*to = *from
	return nil
}

func (c *Config) applyTopics(topics map[string]string) error {
	c.Topics = topics
	_, err := c.targets()
	return err
}

// readable turns the decoder's complaints into ours: no Go types, one line each.
func readable(err error) error {
	var te *yaml.TypeError
	if !errors.As(err, &te) {
		return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	unknown := regexp.MustCompile(`^line (\d+): field (.*) not found in type .*$`)
	wrong := regexp.MustCompile("^line (\\d+): cannot unmarshal .* `(.*)` into .*$")
	lines := make([]string, len(te.Errors))
	for i, line := range te.Errors {
		line = unknown.ReplaceAllString(line, `line $1: unknown key "$2"`)
		lines[i] = wrong.ReplaceAllString(line, `line $1: the value "$2" is of the wrong kind`)
	}
	return errors.New(strings.Join(lines, "; "))
}

// masterKeyFile returns where the master key is.
func (c *Config) masterKeyFile() string {
	if c.MasterKeyFile != "" {
		return c.MasterKeyFile
	}
	return filepath.Join(c.DataDir, "master.key")
}
