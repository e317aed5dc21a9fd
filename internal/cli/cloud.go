package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// newCloudCommand shows what a service knows of clouds.
func newCloudCommand(env *Env) *cobra.Command {
	var opts clientOptions
	cmd := &cobra.Command{
		Use:   "cloud",
		Short: "Show the clouds and regions that a service knows",
		Long: `Show the clouds and regions that a service knows.

The service and its access key are found as for oms task.`,
	}
	asGroup(cmd)
	cmd.PersistentFlags().StringVar(&opts.envFile, "env-file", "", "read the access key from `FILE`")
	connect := func() (*omsv2.Client, error) { return newClient(env, opts) }
	cmd.AddCommand(newCloudListCommand(env, connect), newCloudRegionsCommand(env, connect))
	return cmd
}

func newCloudListCommand(env *Env, connect connector) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the clouds that objects can come from",
		Example: "  oms cloud list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := connect()
			if err != nil {
				return err
			}
			names, err := c.ShowCloudType(cmd.Context(), "src")
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(env.Stdout, names)
			}
			rows := [][]string{{"CLOUD", "LOCATIONS"}}
			for _, name := range names {
				row := []string{oms.Clean(name), "-"}
				if v, ok := vendorOf(oms.CloudType(name)); ok {
					row[1] = v.scheme + "://"
				}
				rows = append(rows, row)
			}
			return writeTable(env.Stdout, rows)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write a JSON array")
	return cmd
}

func newCloudRegionsCommand(env *Env, connect connector) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "regions [CLOUD]",
		Short:   "List regions, of all clouds or of one such as AWS or s3",
		Example: "  oms cloud regions obs",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCloudRegions(cmd.Context(), env, connect, strings.Join(args, ""), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object per line")
	return cmd
}

func runCloudRegions(ctx context.Context, env *Env, connect connector, name string, asJSON bool) error { //nolint:revive // --json as the user gave it
	cloud, err := cloudNamed(name)
	if err != nil {
		return err
	}
	c, err := connect()
	if err != nil {
		return err
	}
	clouds, err := c.ShowRegionInfo(ctx)
	if err != nil {
		return err
	}
	rows := [][]string{{"CLOUD", "REGION", "NAME"}}
	for _, list := range clouds {
		if cloud != "" && list.ServiceName != string(cloud) {
			continue
		}
		for _, r := range list.RegionList {
			if !asJSON {
				rows = append(rows, []string{oms.Clean(r.CloudType), oms.Clean(r.Value), oms.Clean(r.Description)})
			} else if err := writeJSON(env.Stdout, r); err != nil {
				return err
			}
		}
	}
	if asJSON {
		return nil
	}
	if len(rows) == 1 {
		return usageErrorf("the service knows no region of %q", oms.Clean(name))
	}
	return writeTable(env.Stdout, rows)
}

// cloudNamed returns the cloud type that is meant by its own name or by the scheme of its locations.
func cloudNamed(name string) (oms.CloudType, error) {
	name = strings.TrimSuffix(strings.TrimSuffix(name, "://"), ":")
	if name == "" {
		return "", nil
	}
	for _, v := range vendors() {
		if strings.EqualFold(name, string(v.cloud)) || name == v.scheme {
			return v.cloud, nil
		}
	}
	for _, cloud := range []oms.CloudType{oms.CloudAzure, oms.CloudURL} {
		if strings.EqualFold(name, string(cloud)) {
			return cloud, nil
		}
	}
	return "", usageErrorf("%q is no cloud; see oms cloud list", oms.Clean(name))
}
