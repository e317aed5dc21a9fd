package cli

import (
	"context"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/openoms/openoms/internal/cdnsign"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

type bucketCheckOptions struct {
	cdn, cdnAuth string
	keys         []string
	urlList      bool
	json         bool
}

// cdnKeyVariable holds the key of a CDN host.
const cdnKeyVariable = "OMS_SRC_CDN_KEY"

func newBucketCheckCommand(env *Env, connect connector) *cobra.Command {
	var opts bucketCheckOptions
	cmd := &cobra.Command{
		Use:   "check LOCATION",
		Short: "Check a bucket: where it is, whether a prefix has objects, whether a CDN host or a list of URLs is of use",
		Long: `Check a bucket: where it is and whether any object has the prefix of LOCATION.

With --cdn the objects are tried through a CDN host in front of the bucket; its key is ` + cdnKeyVariable + `. With --url-list
LOCATION is a list of URLs at the destination, with the destination's keys, and its form is checked.

The exit status is 1 when something was not as it should be.`,
		Example: `  oms bucket check 's3://photos/2024/?region=eu-west-1'
  oms bucket check 'oss://photos?region=cn-beijing' --cdn https://cdn.example.org --cdn-auth ALIYUN_OSS_A --key a.jpg
  oms bucket check 'obs://lists/urls.txt?region=cn-north-4' --url-list`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBucketCheck(cmd.Context(), env, connect, args[0], opts)
		},
	}
	cmd.Flags().StringVar(&opts.cdn, "cdn", "", "try the CDN host `URL`, such as https://cdn.example.org")
	cmd.Flags().StringVar(&opts.cdnAuth, "cdn-auth", string(cdnsign.None), "how the CDN host signs its URLs: `TYPE` as in the API")
	cmd.Flags().StringArrayVar(&opts.keys, "key", nil, "try the object with this `NAME` through the CDN host; may be repeated")
	cmd.Flags().BoolVar(&opts.urlList, "url-list", false, "LOCATION is a list of URLs at the destination")
	cmd.Flags().BoolVar(&opts.json, "json", false, "write JSON")
	cmd.MarkFlagsMutuallyExclusive("cdn", "url-list")
	return cmd
}

func runBucketCheck(ctx context.Context, env *Env, connect connector, text string, opts bucketCheckOptions) error {
	l, err := parseLocation(text)
	if err != nil {
		return err
	}
	side := source
	if opts.urlList {
		side = destination
	}
	// Where a bucket is can be asked; everything else needs the region.
	if l.region != "" || l.endpoint != "" || opts.cdn != "" || opts.urlList {
		if l, err = serviceLocation(env, text); err != nil {
			return err
		}
	}
	at, err := accountAt(env, l, side)
	if err != nil {
		return err
	}
	c, err := connect()
	if err != nil {
		return err
	}
	switch {
	case opts.urlList:
		return checkURLList(ctx, env, c, at, opts)
	case opts.cdn != "":
		return checkCDN(ctx, env, c, at, opts)
	}
	return checkPrefix(ctx, env, c, at, opts)
}

// prefixResult is the outcome of a plain check.
type prefixResult struct {
	Bucket    string `json:"bucket"`
	Region    string `json:"region"`
	Name      string `json:"region_name"`
	Supported bool   `json:"supported"`
	Prefix    string `json:"prefix"`
	Exists    bool   `json:"exists"`
}

func checkPrefix(ctx context.Context, env *Env, c *omsv2.Client, at account, opts bucketCheckOptions) error {
	res := prefixResult{Bucket: at.bucket, Region: at.region, Name: at.region, Supported: true, Prefix: at.prefix}
	if at.region == "" {
		where, err := c.ShowBucketRegion(ctx, &omsv2.BucketRegionRequest{
			CloudType: string(at.vendor.cloud), BucketName: at.bucket, AppID: at.appID, AK: at.ak, SK: at.sk, SecurityToken: at.token,
			ConnectionString: at.azure, JSONAuthFile: at.google,
		})
		if err != nil {
			return err
		}
		res.Region, res.Name, res.Supported = where.ID, where.Name, where.Support
	}
	if res.Supported {
		var err error
		res.Exists, err = c.CheckPrefix(ctx, &omsv2.CheckPrefixRequest{
			CloudType: string(at.vendor.cloud), BucketName: at.bucket, DataCenter: res.Region, FileName: at.prefix, AppID: at.appID,
			AK: at.ak, SK: at.sk, SecurityToken: at.token, ConnectionString: at.azure, JSONAuthFile: at.google,
		})
		if err != nil {
			return err
		}
	}
	if err := showPrefixResult(env, res, opts); err != nil {
		return err
	}
	if !res.Supported || !res.Exists {
		return silent(statusIncomplete)
	}
	return nil
}

func showPrefixResult(env *Env, res prefixResult, opts bucketCheckOptions) error {
	if opts.json {
		return writeJSON(env.Stdout, res)
	}
	region := oms.Clean(res.Region)
	if res.Name != res.Region {
		region += " (" + oms.Clean(res.Name) + ")"
	}
	if !res.Supported {
		region += ", which the service does not know"
	}
	return writeTable(env.Stdout, [][]string{
		{"bucket", formatKey(res.Bucket)}, {"region", region}, {"objects", yesNo(res.Exists) + ", below " + keysText([]string{res.Prefix})},
	})
}

func yesNo(yes bool) string { //nolint:revive // the value is shown, not a switch
	if yes {
		return "yes"
	}
	return "no"
}

func checkCDN(ctx context.Context, env *Env, c *omsv2.Client, at account, opts bucketCheckOptions) error {
	u, err := url.Parse(opts.cdn)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return usageErrorf("--cdn %q: want https://HOST", oms.Clean(opts.cdn))
	}
	keys := opts.keys
	if len(keys) == 0 && at.prefix != "" {
		keys = []string{at.prefix}
	}
	req := &omsv2.CDNInfoRequest{
		CloudType: string(at.vendor.cloud), Region: at.region, Bucket: at.bucket, AppID: at.appID, AK: at.ak, SK: at.sk, SecurityToken: at.token,
		ConnectionString: at.azure,
		SourceCDN: &omsv2.SourceCDNRequest{
			Domain: u.Host, Protocol: u.Scheme, AuthenticationType: opts.cdnAuth, AuthenticationKey: omsv2.Secret(env.Getenv(cdnKeyVariable)),
		},
	}
	if len(keys) > 0 {
		req.Prefix = &omsv2.PrefixKeys{Keys: keys}
	}
	rep, err := c.ShowCDNInfo(ctx, req)
	if err != nil {
		return err
	}
	if opts.json {
		err = writeJSON(env.Stdout, rep)
	} else {
		rows := [][]string{{"downloads", yesNo(rep.IsDownloadAvailable)}, {"same vendor", yesNo(rep.IsSameCloudType)}}
		for _, k := range rep.CheckedKeys {
			rows = append(rows, []string{"object", formatKey(k.Key) + ": there " + yesNo(k.IsObjectExisting) + ", same ETag " + yesNo(k.IsETagMatching)})
		}
		err = writeTable(env.Stdout, rows)
	}
	if err == nil && !rep.IsDownloadAvailable {
		return silent(statusIncomplete)
	}
	return err
}

func checkURLList(ctx context.Context, env *Env, c *omsv2.Client, at account, opts bucketCheckOptions) error {
	if at.prefix == "" {
		return usageErrorf("%s names no list; a list is written as obs://bucket/urls.txt", at.location)
	}
	err := c.CheckURLList(ctx, &omsv2.CheckURLListRequest{
		OBSBucket: at.bucket, ListFileKey: at.prefix, Region: at.region, AK: at.ak, SK: at.sk, SecurityToken: at.token,
	})
	if err != nil {
		return err
	}
	if opts.json {
		return writeJSON(env.Stdout, map[string]bool{"valid": true})
	}
	return writeTable(env.Stdout, [][]string{{"the list can be used"}})
}
