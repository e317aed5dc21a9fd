package httpapi

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openoms/openoms/internal/oms"
)

// Limits of OMS v2, section 3, in characters unless they say otherwise.
const (
	maxKey           = 100
	maxSecurityToken = 16_384
	maxConnection    = 2048
	maxAuthFile      = 65_535
	maxCDNKey        = 255
	kmsKeyID         = 36
	maxObjectName    = 1024
	maxObjectKeys    = 500 // elements
	maxBucket        = 255
	maxRegion        = 255
	maxText          = 255             // description, app_id, names of topics and templates
	maxSince         = 253_402_300_799 // Unix seconds: the end of the year 9999
)

// forbiddenInDescription are the characters of OMS.0078 for tasks (OMS v2, 3.9).
const forbiddenInDescription = `^<>&"'`

// decodeCreate reads the body of CreateTask (OMS v2, 4.4) and resolves the endpoints.
func (s *service) decodeCreate(body []byte) (oms.TaskSpec, oms.TaskCredentials, error) {
	f, err := decodeBody(body)
	if err != nil {
		return oms.TaskSpec{}, oms.TaskCredentials{}, err
	}
	return s.decodeSpec(f)
}

// decodeSpec reads what CreateTask and CreateTaskGroup have in common and resolves the endpoints.
func (s *service) decodeSpec(f fields) (oms.TaskSpec, oms.TaskCredentials, error) {
	spec := oms.TaskSpec{Type: taskType(f)}
	f.require("src_node")
	f.require("dst_node")
	src, dst := f.object("src_node"), f.object("dst_node")
	for _, node := range []fields{src, dst} {
		node.text("connection", maxConnectionName) // of extensions, which have looked it up by now
	}
	spec.Src = sourceNode(src, spec.Type)
	spec.Dst = destinationNode(dst)
	keys := oms.TaskCredentials{Src: sourceKeys(src, spec), Dst: cloudCredentials(dst, "", spec.Dst.CloudType)}
	if f.has("source_cdn") {
		spec.CDN, keys.Src.CDNKey = sourceCDN(f.object("source_cdn"))
	}
	options(f, &spec)
	spec.RecordObjects = f.truth("enable_object_lists") || !f.has("enable_object_lists") && !s.noObjectLists
	namesFit(f, spec)
	s.resolve(f, &spec)
	locate(f, &spec, keys)
	ontoItself(f, spec)
	return spec, keys, *f.err
}

func taskType(f fields) oms.TaskType {
	return choice(f, "task_type", oms.TypeObject, oms.TypeList, oms.TypeURLList, oms.TypeObject, oms.TypePrefix)
}

// sourceNode reads src_node without its keys (OMS v2, 3.7).
func sourceNode(f fields, t oms.TaskType) oms.SourceNode {
	n := oms.SourceNode{
		CloudType: choice(f, "cloud_type", oms.CloudAliyun, oms.CloudAWS, oms.CloudAzure, oms.CloudAliyun,
			oms.CloudTencent, oms.CloudHuawei, oms.CloudQing, oms.CloudKingsoft, oms.CloudBaidu, oms.CloudQiniu,
			oms.CloudURL, oms.CloudUCloud, oms.CloudGoogle),
	}
	fitsType(f, n.CloudType, t)
	if t == oms.TypeURLList {
		n.ListFile = listFile(f)
		return n
	}
	n.Region = f.word("region", maxRegion)
	n.Bucket = bucket(f, "OMS.0057")
	n.AppID = appID(f, n.CloudType)
	if t == oms.TypeList {
		n.ListFile = listFile(f)
		return n
	}
	n.Keys = objectKeys(f)
	noListFile(f)
	return n
}

// objectKeys reads the mandatory object_key.
func objectKeys(f fields) []string {
	f.require("object_key")
	keys := f.texts("object_key", maxObjectKeys, maxObjectName)
	if len(keys) == 0 {
		f.refuse("OMS.1004", "The field %sobject_key is mandatory; one empty string means the whole bucket.", f.path)
	}
	return keys
}

// noListFile refuses a list with task types that name their objects.
func noListFile(f fields) {
	list := f.object("list_file")
	given := list.text("list_file_key", maxObjectName) != "" || list.text("obs_bucket", maxObjectName) != ""
	if given || list.text("list_file_num", maxText) != "" {
		f.refuse("OMS.0061", "The field %slist_file is for the task types list and url_list only.", f.path)
	}
}

// appID reads app_id, which is part of Tencent's host names.
func appID(f fields, cloud oms.CloudType) string {
	if cloud == oms.CloudTencent {
		f.require("app_id")
	}
	id := f.text("app_id", maxText)
	if strings.ContainsFunc(id, func(c rune) bool { return !alphanumeric(c) }) || id == "" && cloud == oms.CloudTencent {
		f.refuse("OMS.0057", "The field %sapp_id is not an APPID.", f.path)
	}
	return id
}

// destinationNode reads dst_node without its keys (OMS v2, 3.8). Other vendors than HEC are an extension.
func destinationNode(f fields) oms.DestinationNode {
	return oms.DestinationNode{
		CloudType: choice(f, "cloud_type", oms.CloudHEC, oms.CloudHEC, oms.CloudHuawei, oms.CloudAWS, oms.CloudAliyun,
			oms.CloudTencent, oms.CloudQing, oms.CloudKingsoft, oms.CloudBaidu, oms.CloudQiniu, oms.CloudUCloud,
			oms.CloudGoogle, oms.CloudAzure),
		Region:     f.word("region", maxRegion),
		Bucket:     bucket(f, "OMS.0058"),
		SavePrefix: f.text("save_prefix", maxObjectName),
	}
}

// bucket reads a mandatory bucket name. It becomes part of a host name or path, so only what some vendor allows
// passes.
func bucket(f fields, code string) string { return bucketIn(f, "bucket", code) }

// bucketIn reads the bucket name of a member.
func bucketIn(f fields, member, code string) string {
	name := f.word(member, maxBucket)
	if !plausibleBucket(name) {
		f.refuse(code, "The field %s is not a bucket name.", f.path+member)
	}
	return name
}

func plausibleBucket(name string) bool {
	wrong := func(c rune) bool { return !alphanumeric(c) && c != '-' && c != '.' && c != '_' }
	return !strings.ContainsFunc(name, wrong) && strings.Trim(name, ".") == name && !strings.Contains(name, "..")
}

func alphanumeric(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// credentials reads the keys of one side, whose members start with prefix.
func credentials(f fields, prefix string) oms.Credentials {
	c := oms.Credentials{
		AccessKey:     f.key(prefix + "ak").Reveal(),
		SecretKey:     f.key(prefix + "sk"),
		SecurityToken: oms.NewSecret(f.line(prefix+"security_token", maxSecurityToken)),
	}
	plainSecrets(f, prefix)
	return c
}

// plainSecrets refuses secrets that a key management service encrypted: there is none (OMS v2, 3.6).
func plainSecrets(f fields, prefix string) {
	if choice(f, prefix+"crypto_type", "DEFAULT", "DEFAULT", "KMS") == "KMS" {
		f.refuse("OMS.1003", "The field %s must be DEFAULT: no key management service is configured.", f.path+prefix+"crypto_type")
	}
	if id := f.text(prefix+"kms_key_id", kmsKeyID); id != "" && utf8.RuneCountInString(id) != kmsKeyID {
		f.refuse("OMS.1003", "The field %s must have %d characters.", f.path+prefix+"kms_key_id", kmsKeyID)
	}
}

// options reads the optional members of CreateTask.
func options(f fields, spec *oms.TaskSpec) {
	spec.Description = description(f)
	if since, ok := f.integer("migrate_since", 0, maxSince); ok && since > 0 {
		spec.MigrateSince = time.Unix(since, 0).UTC()
	}
	spec.Bandwidth = bandwidth(f)
	if f.has("smn_config") {
		spec.SMN = smnConfig(f.object("smn_config"))
	}
	spec.MigrateMetadata = f.truth("enable_metadata_migration")
	spec.RecordFailures = !f.has("enable_failed_object_recording") || f.truth("enable_failed_object_recording")
	spec.RequesterPays = f.truth("enable_requester_pays")
	spec.Restore, spec.KMS = f.truth("enable_restore"), f.truth("enable_kms")
	spec.Overwrite = choice(f, "object_overwrite_mode", oms.OverwriteIfDifferent,
		oms.NoOverwrite, oms.OverwriteIfDifferent, oms.OverwriteIfCRC64, oms.FullOverwrite)
	spec.StorageClassSent = f.has("dst_storage_policy")
	spec.StoragePolicy = choice(f, "dst_storage_policy", oms.StorageStandard,
		oms.StorageStandard, oms.StorageIA, oms.StorageArchive, oms.StorageDeepArchive, oms.StorageMapped)
	spec.Consistency = choice(f, "consistency_check", oms.CheckSizeModified,
		oms.CheckSizeModified, oms.CheckCRC64, oms.CheckNone)
	urlOnly(f, *spec)
	spec.Priority = choice(f, "task_priority", oms.PriorityMedium, oms.PriorityHigh, oms.PriorityMedium, oms.PriorityLow)
}

func description(f fields) string {
	d := f.text("description", maxText)
	if strings.ContainsAny(d, forbiddenInDescription) {
		f.refuse("OMS.0078", "The description contains one of the characters %s.", forbiddenInDescription)
	}
	return f.line("description", maxText)
}

// smnConfig reads smn_config (OMS v2, 3.3).
func smnConfig(f fields) *oms.SMNConfig {
	c := &oms.SMNConfig{TopicURN: f.word("topic_urn", maxText)}
	parts := strings.Split(c.TopicURN, ":")
	if len(parts) != 5 || parts[0] != "urn" || parts[1] != "smn" || strings.ContainsFunc(c.TopicURN, notInURN) ||
		parts[2] == "" || parts[3] == "" || parts[4] == "" {
		f.refuse("OMS.0169", "The field %stopic_urn must be urn:smn:{region}:{project_id}:{topic}.", f.path)
	}
	f.require("trigger_conditions")
	c.TriggerConditions = f.texts("trigger_conditions", 2, maxText)
	if len(c.TriggerConditions) == 0 {
		f.refuse("OMS.1003", "The field %strigger_conditions must not be empty.", f.path)
	}
	for i := range c.TriggerConditions {
		choice(f.element("trigger_conditions", i), at("trigger_conditions", i), "", oms.TriggerSuccess, oms.TriggerFailure)
	}
	c.Language = choice(f, "language", "en-us", "zh-cn", "en-us")
	c.TemplateName = f.line("message_template_name", maxText)
	return c
}

// topicKnown refuses messages to a topic that does not exist or that the project may not use.
func (s *service) topicKnown(ctx context.Context, project string, c *oms.SMNConfig) error {
	if c == nil || s.topics == nil {
		return nil
	}
	known, err := s.topics.Knows(ctx, project, c.TopicURN)
	if err == nil && !known {
		err = oms.Errorf(oms.Invalid, "OMS.0169", "The topic of smn_config does not exist or may not be used. Choose another.")
	}
	return err
}

func notInURN(c rune) bool { return !alphanumeric(c) && c != ':' && c != '-' && c != '_' }

// namesFit refuses a save_prefix that makes names longer than a store allows.
func namesFit(f fields, spec oms.TaskSpec) {
	prefix := utf8.RuneCountInString(spec.Dst.SavePrefix)
	for _, key := range spec.Src.Keys {
		if prefix+utf8.RuneCountInString(key) > maxObjectName {
			f.refuse("OMS.1003", "The field dst_node.save_prefix makes object names longer than %d characters.", maxObjectName)
			return
		}
	}
}

// resolve finds the endpoints of both regions.
func (s *service) resolve(f fields, spec *oms.TaskSpec) {
	if f.failed() {
		return
	}
	var ok bool
	if spec.Src.Endpoint, ok = s.endpoint(spec.Src.CloudType, spec.Src.Region); !ok && spec.Type != oms.TypeURLList {
		f.refuse("OMS.0079", "The region of the source is not supported for its cloud type.")
	}
	if spec.Dst.Endpoint, ok = s.endpoint(spec.Dst.CloudType, spec.Dst.Region); !ok {
		f.refuse("OMS.0080", "The region of the destination is not supported.")
	}
}

// endpoint looks a region up. Its id may become part of a host name, so nothing but letters, digits, "-" and "_"
// is looked up.
func (s *service) endpoint(cloud oms.CloudType, region string) (oms.Endpoint, bool) {
	if strings.ContainsFunc(region, func(c rune) bool { return !alphanumeric(c) && c != '-' && c != '_' }) {
		return oms.Endpoint{}, false
	}
	return s.regions.Resolve(cloud, region)
}

// ontoItself refuses a task whose results would be sources of the same task: equal names in one bucket (OMS v2,
// 8, row 28), and copies that the listing would find again without end.
func ontoItself(f fields, spec oms.TaskSpec) {
	src, dst := spec.Src, spec.Dst
	same := func(a, b string) bool {
		return strings.EqualFold(strings.TrimSuffix(a, "/"), strings.TrimSuffix(b, "/"))
	}
	if f.failed() || src.Bucket != dst.Bucket || !same(src.Endpoint.URL, dst.Endpoint.URL) {
		return
	}
	if spec.Type == oms.TypeList && dst.SavePrefix == "" {
		f.refuse("OMS.0058", "Source and destination are the same bucket and objects would be written onto themselves.")
	}
	for _, from := range src.Keys {
		for _, to := range src.Keys {
			if meets(spec.Type, dst.SavePrefix, from, to) {
				f.refuse("OMS.0058", "Source and destination are the same bucket and objects would be written onto source objects.")
				return
			}
		}
	}
}

// meets reports whether an object that the selector from names is written to a name that the selector to names.
func meets(t oms.TaskType, savePrefix, from, to string) bool {
	many := func(selector string) bool {
		return t == oms.TypePrefix || selector == "" || strings.HasSuffix(selector, "/")
	}
	written := savePrefix + from
	return written == to || many(to) && strings.HasPrefix(written, to) || many(from) && strings.HasPrefix(to, written)
}
