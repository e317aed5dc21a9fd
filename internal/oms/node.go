package oms

// Endpoint says where and how a bucket is reached. It is resolved when a task is created and travels with it,
// so that a worker elsewhere needs no endpoint table.
type Endpoint struct {
	URL       string `json:"url"`                  // scheme://host[:port], no path
	Region    string `json:"region"`               // region id for signing
	PathStyle bool   `json:"path_style,omitempty"` // bucket in the path instead of the host
	// Trusted endpoints were written by the operator (configuration file, or the command line of oms migrate);
	// the egress guard lets them reach private addresses.
	Trusted bool `json:"trusted,omitempty"`
}

// SourceNode is where the objects come from. Credentials are kept apart, sealed.
type SourceNode struct {
	CloudType CloudType `json:"cloud_type"`
	Region    string    `json:"region"`
	Bucket    string    `json:"bucket"`
	AppID     string    `json:"app_id,omitempty"` // Tencent APPID
	Keys      []string  `json:"keys,omitempty"`   // object names or prefixes, as the task type says
	ListFile  *ListFile `json:"list_file,omitempty"`
	Endpoint  Endpoint  `json:"endpoint"`
	// FileSystem says that the bucket is a parallel file system; found out when the task is created.
	FileSystem bool `json:"file_system,omitempty"`
}

// ListFile names a list of keys or URLs in a bucket of the destination region.
type ListFile struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
	Num    string `json:"num,omitempty"` // number of list files, informational, digits in a string on the wire
}

// DestinationNode is where the objects go.
type DestinationNode struct {
	CloudType  CloudType `json:"cloud_type"` // empty means HEC
	Region     string    `json:"region"`
	Bucket     string    `json:"bucket"`
	SavePrefix string    `json:"save_prefix,omitempty"` // put before every key, plain concatenation
	Endpoint   Endpoint  `json:"endpoint"`
	// FileSystem says that the bucket is a parallel file system; found out when the task is created.
	FileSystem bool `json:"file_system,omitempty"`
}

// DestinationKey maps a source key to its key at the destination.
func (d DestinationNode) DestinationKey(key string) string { return d.SavePrefix + key }

// SMNConfig is the notification a task asks for.
type SMNConfig struct {
	TopicURN          string   `json:"topic_urn"`
	TriggerConditions []string `json:"trigger_conditions"` // SUCCESS, FAILURE
	Language          string   `json:"language,omitempty"`
	TemplateName      string   `json:"template_name,omitempty"`
}

// CDN is the host that source objects are fetched through; its key is sealed with the credentials.
type CDN struct {
	Domain             string `json:"domain"`
	Protocol           string `json:"protocol"`
	AuthenticationType string `json:"authentication_type"`
}
