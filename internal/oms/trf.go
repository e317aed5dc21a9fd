package oms

// Side is the end of a migration at which something went wrong.
type Side uint8

// The sides.
const (
	Source Side = iota + 1
	Destination
)

// ReasonOf returns the TRF code and text for trouble that stops a whole task: keys, buckets, stores that are
// away (OMS v2 errors, section 2).
func ReasonOf(side Side, kind Kind) ErrorReason {
	src := side == Source
	switch kind {
	case Denied:
		if src {
			return ErrorReason{"TRF.0152", "The source keys are not valid or lack rights on the bucket or its objects. Start the task with valid keys."}
		}
		return ErrorReason{"TRF.0051", "The destination keys are not valid or lack rights on the bucket or its objects. Start the task with valid keys."}
	case NoBucket, NotFound:
		if src {
			return ErrorReason{"TRF.0155", "The source bucket does not exist."}
		}
		return ErrorReason{"TRF.0058", "The destination bucket does not exist."}
	case Throttled:
		if src {
			return ErrorReason{"TRF.0159", "The source limits the request rate. Start the task later."}
		}
		return ErrorReason{"TRF.0061", "The destination limits the request rate. Start the task later."}
	case Transient:
		if src {
			return ErrorReason{"TRF.0157", "The source store does not answer. Start the task later; it goes on where it stopped."}
		}
		return ErrorReason{"TRF.0061", "The destination store does not answer. Start the task later; it goes on where it stopped."}
	case Full:
		return ErrorReason{"TRF.0055", "The destination bucket has too little space left."}
	case Listing:
		if src {
			return ErrorReason{"TRF.0157", "The source store answers listings that cannot be trusted. Nothing was taken as complete."}
		}
		return ErrorReason{"TRF.0061", "The destination store answers listings that cannot be trusted. Nothing was taken as complete."}
	case Other, Invalid, Conflict, Archived, Changed, Corrupt, Unsupported:
		return ErrorReason{"TRF.0001", "Internal error. Start the task again; it goes on where it stopped."}
	}
	return ErrorReason{"TRF.0001", "Internal error. Start the task again; it goes on where it stopped."}
}
