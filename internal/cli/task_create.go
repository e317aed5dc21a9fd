package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/server"
	"github.com/openoms/openoms/omsv2"
)

// taskRules are the rules of a new task, as flags.
type taskRules struct {
	overwrite string
	metadata  bool
	lists     bool
	bandwidth string
	listsSet  bool // --lists was given
	extended  extendedRules
}

// register adds the flags. metadata is the default of --metadata.
func (r *taskRules) register(cmd *cobra.Command, metadata bool) {
	cmd.Flags().StringVar(&r.overwrite, "overwrite", "different",
		"which existing objects are replaced: `MODE` is never, different (size or time), crc64 or always")
	cmd.Flags().BoolVar(&r.metadata, "metadata", metadata, "copy user metadata and all content headers, not only the content type")
	cmd.Flags().BoolVar(&r.lists, "lists", false, "write lists of the migrated and of the skipped objects to the destination")
	cmd.Flags().StringVar(&r.bandwidth, "bandwidth", "", "move at most `RATE` per second, for instance 20MiB; 1MiB to 200MiB")
	r.extended.register(cmd)
}

// objectLists returns what --lists says, nil when it was not given: then the service decides.
func (r *taskRules) objectLists() *bool {
	if !r.listsSet {
		return nil
	}
	return &r.lists
}

// overwriteMode returns the contract's name of --overwrite.
func (r *taskRules) overwriteMode() (oms.OverwriteMode, error) {
	switch r.overwrite {
	case "never":
		return oms.NoOverwrite, nil
	case "different":
		return oms.OverwriteIfDifferent, nil
	case "crc64":
		return oms.OverwriteIfCRC64, nil
	case "always":
		return oms.FullOverwrite, nil
	}
	return "", usageErrorf("--overwrite %q: want never, different, crc64 or always", oms.Clean(r.overwrite))
}

// windows returns the limit of --bandwidth as a policy for the whole day; none without the flag.
func (r *taskRules) windows() ([]oms.BandwidthWindow, error) {
	if r.bandwidth == "" {
		return nil, nil
	}
	limit, err := server.ParseSize(r.bandwidth)
	if err != nil || limit < oms.MinBandwidth || limit > oms.MaxBandwidth {
		return nil, usageErrorf("--bandwidth %q: want a rate from 1MiB to 200MiB", oms.Clean(r.bandwidth))
	}
	return []oms.BandwidthWindow{{Start: 0, End: 24*60 - 1, Limit: limit}}, nil
}

type taskCreateOptions struct {
	rules       taskRules
	description string
	priority    string
	wait        bool
	watch       watchOptions
}

func newTaskCreateCommand(env *Env, connect connector) *cobra.Command {
	var opts taskCreateOptions
	cmd := &cobra.Command{
		Use:   "create SRC DST",
		Short: "Create a task and start it",
		Long: `Create a task and start it.

SRC and DST are locations such as s3://bucket/prefix?region=eu-west-1; the service looks the region up in its own
table. Objects whose key starts with SRC's prefix are migrated; they keep their whole key, and DST's prefix is put
before it. Filters leave objects out, and --rename changes keys, before anything is written.

` + keysHelp,
		Example: `  oms task create 's3://photos/2024/?region=eu-west-1' 'obs://backup/aws/?region=cn-north-4' --wait`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.rules.listsSet = cmd.Flags().Changed("lists")
			return runTaskCreate(cmd.Context(), env, connect, args[0], args[1], opts)
		},
	}
	opts.rules.register(cmd, false)
	cmd.Flags().StringVar(&opts.description, "description", "", "`TEXT` to keep with the task")
	cmd.Flags().StringVar(&opts.priority, "priority", "", "`PRIORITY` among waiting tasks: HIGH, MEDIUM or LOW")
	cmd.Flags().BoolVar(&opts.wait, "wait", false, "return only when the task has ended")
	opts.watch.register(cmd)
	return cmd
}

// keysHelp explains where keys come from.
const keysHelp = `Keys never come from the command line. OMS_SRC_AK, OMS_SRC_SK and OMS_SRC_TOKEN, OMS_DST_AK, OMS_DST_SK and
OMS_DST_TOKEN win; otherwise the variables of each side's own tools are read, for instance AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY for s3:, OBS_ACCESS_KEY_ID and OBS_SECRET_ACCESS_KEY for obs:, and for s3: the profiles in
~/.aws/credentials. For az: they are AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or
OMS_SRC_AK with the name of the account; for gs: GOOGLE_APPLICATION_CREDENTIALS names the file of a service account.`

func runTaskCreate(ctx context.Context, env *Env, connect connector, src, dst string, opts taskCreateOptions) error {
	req, err := newTaskRequest(env, src, dst, opts)
	if err != nil {
		return err
	}
	c, err := connect()
	if err != nil {
		return err
	}
	created, err := createTask(ctx, c, req, opts.rules.extended, env.Now())
	if err != nil {
		return err
	}
	return started(ctx, env, c, created.ID, opts.wait, opts.watch)
}

// newTaskRequest builds the request from the command line.
func newTaskRequest(env *Env, srcText, dstText string, opts taskCreateOptions) (*omsv2.CreateTaskRequest, error) {
	src, err := serviceLocation(env, srcText)
	if err != nil {
		return nil, err
	}
	dst, err := serviceLocation(env, dstText)
	if err != nil {
		return nil, err
	}
	mode, err := opts.rules.overwriteMode()
	if err != nil {
		return nil, err
	}
	windows, err := opts.rules.windows()
	if err != nil {
		return nil, err
	}
	srcKeys, err := src.credentials(env, source)
	if err != nil {
		return nil, err
	}
	dstKeys, err := dst.credentials(env, destination)
	if err != nil {
		return nil, err
	}
	if err := pairOnly(dst, dstKeys, destination); err != nil {
		return nil, err
	}
	return &omsv2.CreateTaskRequest{
		TaskType: string(oms.TypePrefix),
		SrcNode: &omsv2.SourceNodeRequest{
			CloudType: string(src.vendor.cloud), Region: src.region, Bucket: src.bucket, ObjectKey: []string{src.prefix},
			AK: omsv2.Secret(srcKeys.AccessKey), SK: wire(srcKeys.SecretKey), SecurityToken: wire(srcKeys.SecurityToken),
			ConnectionString: wire(srcKeys.ConnectionString), JSONAuthFile: wire(srcKeys.AuthFile),
		},
		DstNode: &omsv2.DestinationNodeRequest{
			CloudType: destinationCloud(dst.vendor.cloud), Region: dst.region, Bucket: dst.bucket, SavePrefix: dst.prefix,
			AK: omsv2.Secret(dstKeys.AccessKey), SK: wire(dstKeys.SecretKey), SecurityToken: wire(dstKeys.SecurityToken),
		},
		Description: opts.description, TaskPriority: opts.priority, BandwidthPolicy: policyOf(windows),
		ObjectOverwriteMode: string(mode), EnableMetadataMigration: opts.rules.metadata, EnableObjectLists: opts.rules.objectLists(),
	}, nil
}

// pairOnly refuses credentials that a call has no field for.
func pairOnly(l location, keys oms.Credentials, s side) error {
	if !keys.ConnectionString.IsZero() || !keys.AuthFile.IsZero() {
		return usageErrorf("%s: the service takes a pair of keys here; set OMS_%s_AK and OMS_%s_SK", l, s, s)
	}
	return nil
}

// serviceLocation reads a location that a service will resolve.
func serviceLocation(env *Env, text string) (location, error) {
	l, err := parseLocation(text)
	if err != nil {
		return location{}, err
	}
	if l.endpoint != "" || l.pathStyle {
		return location{}, usageErrorf("%s: a service finds endpoints by region in its own table; leave endpoint and path_style out", l)
	}
	if l.region, err = l.regionID(env); err != nil {
		return location{}, err
	}
	if l.region == "" {
		return location{}, usageErrorf("%s: no region; add ?region=ID", l)
	}
	return l, nil
}

// destinationCloud leaves out the destination that the contract assumes.
func destinationCloud(cloud oms.CloudType) string {
	if cloud == oms.CloudHuawei {
		return ""
	}
	return string(cloud)
}

func policyOf(windows []oms.BandwidthWindow) []omsv2.BandwidthPolicy {
	policy := make([]omsv2.BandwidthPolicy, len(windows))
	for i, w := range windows {
		policy[i] = omsv2.BandwidthPolicy{Start: oms.FormatClock(w.Start), End: oms.FormatClock(w.End), MaxBandwidth: w.Limit}
	}
	return policy
}
