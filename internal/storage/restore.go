package storage

import (
	"context"
	"time"
)

// Restorer makes archived objects readable for some days.
type Restorer interface {
	// RequestRestore asks for a readable copy of an archived object. It returns nil when the store took the request, and
	// when one is under way or the copy is there already: Object.Restore tells. oms.Invalid or oms.Unsupported when the
	// store restores no such object.
	RequestRestore(ctx context.Context, req RestoreRequest) error
}

// RestoreRequest asks for a readable copy of an object.
type RestoreRequest struct {
	Key       string
	VersionID string // "" is the latest
	Days      int    // that the copy is kept for, from 1; some stores keep it for ever
	Tier      RestoreTier
}

// RestoreTier is how fast, and how dear, a restore is.
type RestoreTier string

// The tiers. Not every store has all of them for every class.
const (
	TierStandard  RestoreTier = "Standard"
	TierBulk      RestoreTier = "Bulk"      // cheapest, up to 48 hours
	TierExpedited RestoreTier = "Expedited" // minutes, dearest
)

// RestoreState is how far the restore of an archived object is.
type RestoreState uint8

// The states.
const (
	RestoreNone    RestoreState = iota // none was asked for, or its copy has expired
	RestoreOngoing                     // asked for and not done
	RestoreDone                        // a readable copy exists
)

// Restore is what a store tells about the restore of an object.
type Restore struct {
	State   RestoreState
	Expires time.Time // of the readable copy; zero when not told
	// Archived says that the object lies in an archive although its class does not (S3's INTELLIGENT_TIERING).
	Archived bool
}
