package cli

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// assessmentInterval is how often a service is asked what it has found.
const assessmentInterval = 500 * time.Millisecond

func newBucketAssessCommand(env *Env, connect connector) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "assess LOCATION",
		Short: "Assess what a bucket holds, before it is migrated",
		Long: `Assess what a bucket holds below the prefix of LOCATION, before it is migrated: how many objects of which size and
storage class, keys that some store or tool has trouble with, metadata of a sample of objects, and how many requests and how
long a migration takes under the assumptions that are shown with it. Everything is listed once.`,
		Example: `  oms bucket assess 's3://photos/2024/?region=eu-west-1'`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBucketAssess(cmd.Context(), env, connect, args[0], asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

func runBucketAssess(ctx context.Context, env *Env, connect connector, text string, asJSON bool) error { //nolint:revive // --json as the user gave it
	l, err := serviceLocation(env, text)
	if err != nil {
		return err
	}
	keys, err := l.credentials(env, source)
	if err != nil {
		return err
	}
	c, err := connect()
	if err != nil {
		return err
	}
	created, err := c.CreateAssessment(ctx, &omsv2.CreateAssessmentRequest{SrcNode: &omsv2.SourceNodeRequest{
		CloudType: string(l.vendor.cloud), Region: l.region, Bucket: l.bucket, ObjectKey: []string{l.prefix},
		AK: omsv2.Secret(keys.AccessKey), SK: wire(keys.SecretKey), SecurityToken: wire(keys.SecurityToken),
	}})
	if err != nil {
		return err
	}
	a, err := awaitAssessment(ctx, c, created.ID)
	if err != nil {
		return err
	}
	if asJSON {
		err = writeJSON(env.Stdout, a)
	} else {
		_, err = fmt.Fprint(env.Stdout, assessmentText(a))
	}
	if err == nil && a.Status != string(oms.AssessmentSucceeded) {
		return silent(statusUnreachable)
	}
	return err
}

// awaitAssessment asks until the assessment has ended.
func awaitAssessment(ctx context.Context, c *omsv2.Client, id string) (*omsv2.Assessment, error) {
	tick := time.NewTicker(assessmentInterval)
	defer tick.Stop()
	for {
		a, err := c.ShowAssessment(ctx, id)
		if err != nil || a.Status != string(oms.AssessmentRunning) {
			return a, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// assessmentText is an assessment for people.
func assessmentText(a *omsv2.Assessment) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s objects, %s, the largest %s\n", formatCount(a.Objects), formatBytes(a.Bytes), formatBytes(a.Largest))
	if a.ErrorReason != nil {
		fmt.Fprintf(&b, "the assessment failed: %s (%s)\n", oms.Clean(a.ErrorReason.ErrorMsg), oms.Clean(a.ErrorReason.ErrorCode))
	}
	line := func(name string, objects, bytes int64) {
		fmt.Fprintf(&b, "  %-24s %14s objects %12s\n", name, formatCount(objects), formatBytes(bytes))
	}
	b.WriteString("by size:\n")
	for _, s := range a.Sizes {
		name := "up to " + formatBytes(s.UpTo)
		if s.UpTo == math.MaxInt64 {
			name = "larger"
		}
		line(name, s.Objects, s.Bytes)
	}
	b.WriteString("by storage class:\n")
	for _, s := range a.Classes {
		name := oms.Clean(s.Class)
		if name == "" {
			name = "not told"
		}
		line(name, s.Objects, s.Bytes)
	}
	for _, k := range a.Keys {
		fmt.Fprintf(&b, "awkward keys: %s %s, such as %s\n", formatCount(k.Objects), strings.ReplaceAll(oms.Clean(k.Trait), "_", " "), formatKey(k.Example))
	}
	s := a.Sample
	fmt.Fprintf(&b, "of a sample of %d: %d with metadata, %d with more than 2 KiB of it, %d with some that is no ASCII, %d encoded, %d encrypted, %d archived, %d could not be asked\n",
		s.Asked, s.WithMetadata, s.Oversized, s.NotASCII, s.Encoded, s.Encrypted, s.Archived, s.Failed)
	e := a.Estimate
	fmt.Fprintf(&b, "a migration takes about %s requests to list, %s to read, %s to write, and %s at %s objects/s and %s/s\n",
		formatCount(e.ListRequests), formatCount(e.ReadRequests), formatCount(e.WriteRequests),
		formatDuration(time.Duration(e.Time)*time.Millisecond), formatCount(e.ObjectsPerSecond), formatBytes(e.BytesPerSecond))
	return b.String()
}
