package transfer

import "github.com/openoms/openoms/internal/oms"

// Storage classes in the spelling of the S3 face.
const (
	classStandard = "STANDARD"
	classIA       = "STANDARD_IA"
	classArchive  = "GLACIER"
	classDeep     = "DEEP_ARCHIVE"
)

// storageClass returns the class to write for a policy, given the source's class (OMS v2, 6.6).
func storageClass(policy oms.StoragePolicy, srcClass string) string {
	switch policy {
	case oms.StorageStandard:
		return classStandard
	case oms.StorageIA:
		return classIA
	case oms.StorageArchive:
		return classArchive
	case oms.StorageDeepArchive:
		return classDeep
	case oms.StorageMapped:
		return mappedClass(srcClass)
	}
	return ""
}

// mappedClass maps a source class, in any vendor's spelling, by how its objects are accessed.
func mappedClass(src string) string {
	switch src {
	case "STANDARD_IA", "ONEZONE_IA", "GLACIER_IR", "IA", "WARM", "MAZ_STANDARD_IA", "COLD_IA", "DEEP_IA", "LINE",
		"NEARLINE", "COLDLINE":
		return classIA
	case "GLACIER", "ARCHIVE", "Archive", "COLD":
		return classArchive
	case "DEEP_ARCHIVE", "ColdArchive", "DeepColdArchive", "COLD_ARCHIVE", "DEEP_COLD_ARCHIVE":
		return classDeep
	}
	return classStandard
}
