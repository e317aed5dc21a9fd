package cli

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// newBucketCommand asks a service about accounts and buckets.
func newBucketCommand(env *Env) *cobra.Command {
	var opts clientOptions
	cmd := &cobra.Command{
		Use:   "bucket",
		Short: "Look at buckets through a service, before tasks are created",
		Long: `Look at buckets through a service, before tasks are created: with its network, its table of regions and the keys
of a source. The keys travel with each question and are not kept.

The service and its access key are found as for oms task.

` + keysHelp,
	}
	asGroup(cmd)
	cmd.PersistentFlags().StringVar(&opts.envFile, "env-file", "", "read the access key from `FILE`")
	connect := func() (*omsv2.Client, error) { return newClient(env, opts) }
	cmd.AddCommand(newBucketListCommand(env, connect), newBucketObjectsCommand(env, connect), newBucketCheckCommand(env, connect), newBucketAssessCommand(env, connect))
	return cmd
}

func newBucketListCommand(env *Env, connect connector) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list CLOUD",
		Short:   "List the buckets of an account; CLOUD is a name such as AWS or the start of its locations, s3",
		Example: "  oms bucket list s3",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBucketList(cmd.Context(), env, connect, args[0], asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write a JSON array")
	return cmd
}

func runBucketList(ctx context.Context, env *Env, connect connector, name string, asJSON bool) error { //nolint:revive // --json as the user gave it
	cloud, err := cloudNamed(name)
	if err != nil {
		return err
	}
	keys, err := keysOf(env, source, cloud)
	if err != nil {
		return err
	}
	c, err := connect()
	if err != nil {
		return err
	}
	names, err := c.ShowBucketList(ctx, &omsv2.ListBucketsRequest{
		CloudType: string(cloud), AK: omsv2.Secret(keys.AccessKey), SK: wire(keys.SecretKey), SecurityToken: wire(keys.SecurityToken),
		ConnectionString: wire(keys.ConnectionString), JSONAuthFile: wire(keys.AuthFile),
	})
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(env.Stdout, names)
	}
	rows := make([][]string, 0, len(names))
	for _, name := range names {
		rows = append(rows, []string{formatKey(name)})
	}
	return writeTable(env.Stdout, rows)
}

type bucketObjectsOptions struct {
	after string
	limit int
	json  bool
}

func newBucketObjectsCommand(env *Env, connect connector) *cobra.Command {
	var opts bucketObjectsOptions
	cmd := &cobra.Command{
		Use:     "objects LOCATION",
		Short:   "List one folder of a bucket",
		Example: "  oms bucket objects 's3://photos/2024/?region=eu-west-1'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBucketObjects(cmd.Context(), env, connect, args[0], opts)
		},
	}
	cmd.Flags().IntVar(&opts.limit, "limit", 100, "show at most `N` entries")
	cmd.Flags().StringVar(&opts.after, "after", "", "begin behind the entry with this `NAME`")
	cmd.Flags().BoolVar(&opts.json, "json", false, "write one JSON object per line")
	return cmd
}

// pageSize is the largest page of the API.
const pageSize = 100

func runBucketObjects(ctx context.Context, env *Env, connect connector, text string, opts bucketObjectsOptions) error {
	if opts.limit < 1 {
		return usageErrorf("--limit %d: want a number from 1", opts.limit)
	}
	at, err := accountLocation(env, text)
	if err != nil {
		return err
	}
	c, err := connect()
	if err != nil {
		return err
	}
	folder := at.prefix
	if folder != "" && !strings.HasSuffix(folder, "/") {
		folder += "/"
	}
	after, shown, more := opts.after, 0, true
	for more && shown < opts.limit {
		page, err := c.ShowBucketObjects(ctx, &omsv2.BucketObjectsRequest{
			CloudType: string(at.vendor.cloud), BucketName: at.bucket, DataCenter: at.region, AppID: at.appID,
			FilePath: folder, PageSize: int32(min(pageSize, opts.limit-shown)), BehindFilename: after,
			AK: at.ak, SK: at.sk, SecurityToken: at.token, ConnectionString: at.azure, JSONAuthFile: at.google,
		})
		if err != nil {
			return err
		}
		if err := writeRecords(env, page.Records, opts.json); err != nil {
			return err
		}
		shown += len(page.Records)
		// A marker that does not move would ask for the same page for ever.
		more, after = page.NextPage && page.NextMarker != after, page.NextMarker
	}
	if more && !opts.json {
		return writeTable(env.Stdout, [][]string{{"more; see --after " + formatKey(after)}})
	}
	return nil
}

func writeRecords(env *Env, records []omsv2.BucketRecord, asJSON bool) error { //nolint:revive // --json as the user gave it
	rows := make([][]string, 0, len(records))
	for _, r := range records {
		if asJSON {
			if err := writeJSON(env.Stdout, r); err != nil {
				return err
			}
			continue
		}
		size := "folder"
		if n, err := strconv.ParseInt(r.Size, 10, 64); err == nil {
			size = formatBytes(n)
		}
		rows = append(rows, []string{size, formatKey(r.Name)})
	}
	return writeTable(env.Stdout, rows)
}

// account is a location with the keys of its bucket, as a service wants them.
type account struct {
	location
	appID         string
	ak, sk, token omsv2.Secret
	azure, google omsv2.Secret // connection string, service account file
}

// accountLocation reads a location and the keys of its source.
func accountLocation(env *Env, text string) (account, error) {
	l, err := serviceLocation(env, text)
	if err != nil {
		return account{}, err
	}
	return accountAt(env, l, source)
}

// accountAt adds the keys of a side.
func accountAt(env *Env, l location, s side) (account, error) {
	keys, err := l.credentials(env, s)
	if err != nil {
		return account{}, err
	}
	a := account{location: l, ak: omsv2.Secret(keys.AccessKey), sk: wire(keys.SecretKey), token: wire(keys.SecurityToken)}
	a.azure, a.google = wire(keys.ConnectionString), wire(keys.AuthFile)
	if l.vendor.cloud == oms.CloudTencent {
		if a.appID = appIDOf(l.bucket); a.appID == "" {
			return account{}, usageErrorf("%s: a bucket of Tencent Cloud is written with its APPID, as in cos://photos-1250000000", l)
		}
	}
	return a, nil
}

// appIDOf returns the APPID at the end of a bucket's name, "" if there is none.
func appIDOf(bucket string) string {
	i := strings.LastIndexByte(bucket, '-')
	if i < 0 || i+1 == len(bucket) || strings.Trim(bucket[i+1:], "0123456789") != "" {
		return ""
	}
	return bucket[i+1:]
}
