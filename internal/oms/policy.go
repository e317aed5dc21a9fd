package oms

// TaskType says how the objects of a task are selected (OMS v2, 6.1).
type TaskType string

// The task types of OMS v2.
const (
	TypeObject  TaskType = "object"   // named objects; a name ending in "/" is everything below it
	TypePrefix  TaskType = "prefix"   // objects whose key starts with one of the prefixes; "" is the whole bucket
	TypeList    TaskType = "list"     // keys named by a list file
	TypeURLList TaskType = "url_list" // URLs named by a list file
)

// GroupType says what a task belongs to.
type GroupType string

// The group types of OMS v2.
const (
	GroupNormal GroupType = "NORMAL_TASK"
	GroupSync   GroupType = "SYNC_TASK"
	GroupGroup  GroupType = "GROUP_TASK"
)

// OverwriteMode decides before the copy whether an object that exists at the destination is copied (6.4).
type OverwriteMode string

// The overwrite modes of OMS v2.
const (
	NoOverwrite          OverwriteMode = "NO_OVERWRITE"
	OverwriteIfDifferent OverwriteMode = "SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE" // default
	OverwriteIfCRC64     OverwriteMode = "CRC64_COMPARISON_OVERWRITE"
	FullOverwrite        OverwriteMode = "FULL_OVERWRITE"
)

// StoragePolicy is the storage class wanted at the destination (6.6). Empty: the bucket's default.
type StoragePolicy string

// The storage policies of OMS v2.
const (
	StorageStandard    StoragePolicy = "STANDARD"
	StorageIA          StoragePolicy = "IA"
	StorageArchive     StoragePolicy = "ARCHIVE"
	StorageDeepArchive StoragePolicy = "DEEP_ARCHIVE"
	StorageMapped      StoragePolicy = "SRC_STORAGE_MAPPING"
)

// ConsistencyCheck is the task's check after the copy (6.5). Our own checksum proof is made in any case.
type ConsistencyCheck string

// The consistency checks of OMS v2.
const (
	CheckSizeModified ConsistencyCheck = "size_last_modified" // default
	CheckCRC64        ConsistencyCheck = "crc64"
	CheckNone         ConsistencyCheck = "no_check" // HTTP sources only
)

// Priority orders waiting tasks.
type Priority string

// The priorities of OMS v2.
const (
	PriorityHigh   Priority = "HIGH"
	PriorityMedium Priority = "MEDIUM" // default
	PriorityLow    Priority = "LOW"
)

// Rank orders priorities for scheduling: 0 runs first.
func (p Priority) Rank() int {
	switch p {
	case PriorityHigh:
		return 0
	case PriorityLow:
		return 2
	case PriorityMedium:
		return 1
	}
	return 1
}

// CloudType is a vendor, spelled as OMS tasks do.
type CloudType string

// The cloud types of OMS v2; CloudHEC is the destination side's name.
const (
	CloudAWS      CloudType = "AWS"
	CloudAzure    CloudType = "Azure"
	CloudAliyun   CloudType = "Aliyun"
	CloudTencent  CloudType = "Tencent"
	CloudHuawei   CloudType = "HuaweiCloud"
	CloudQing     CloudType = "QingCloud"
	CloudKingsoft CloudType = "KingsoftCloud"
	CloudBaidu    CloudType = "Baidu"
	CloudQiniu    CloudType = "Qiniu"
	CloudURL      CloudType = "URLSource"
	CloudUCloud   CloudType = "UCloud"
	CloudGoogle   CloudType = "Google"
	CloudHEC      CloudType = "HEC"
)
