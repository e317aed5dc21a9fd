package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// newConnectionCommand is the client of the API for connections.
func newConnectionCommand(env *Env) *cobra.Command {
	var opts clientOptions
	cmd := &cobra.Command{
		Use:   "connection",
		Short: "Keep keys of stores in a service, under names that schedules and tasks can use",
		Long: `Keep keys of stores in a service, sealed, under names that schedules and tasks can use. They are never shown again.

The service and its access key are found as for oms task.`,
	}
	asGroup(cmd)
	cmd.PersistentFlags().StringVar(&opts.envFile, "env-file", "", "read the access key from `FILE`")
	connect := func() (*omsv2.Client, error) { return newClient(env, opts) }
	cmd.AddCommand(
		newConnectionCreateCommand(env, connect), newConnectionListCommand(env, connect), newConnectionCheckCommand(env, connect),
		newNamedCommand(env, connect, "Delete a connection and destroy its keys; tasks that were created with it have their own",
			"connection", (*omsv2.Client).DeleteConnection),
	)
	return cmd
}

type connectionCreateOptions struct{ profile, region, description string }

func newConnectionCreateCommand(env *Env, connect connector) *cobra.Command {
	var opts connectionCreateOptions
	cmd := &cobra.Command{
		Use:   "create NAME CLOUD",
		Short: "Store a connection, in the place of one of that name; CLOUD is a name such as AWS or the start of its locations, s3",
		Long: `Store a connection, in the place of one of that name. CLOUD is a name such as AWS or the start of its locations, s3.

The keys are found as those of a source. ` + keysHelp,
		Example: `  OMS_SRC_AK=... OMS_SRC_SK=... oms connection create lab s3 --region eu-west-1`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runConnectionCreate(cmd.Context(), env, connect, args[0], args[1], opts)
		},
	}
	cmd.Flags().StringVar(&opts.profile, "profile", "", "take the keys of the `PROFILE` in ~/.aws/credentials")
	cmd.Flags().StringVar(&opts.region, "region", "", "`REGION` of buckets for which none is named")
	cmd.Flags().StringVar(&opts.description, "description", "", "`TEXT` to keep with the connection")
	return cmd
}

func runConnectionCreate(ctx context.Context, env *Env, connect connector, name, cloudName string, opts connectionCreateOptions) error {
	cloud, err := cloudNamed(cloudName)
	if err != nil {
		return err
	}
	v, ok := vendorOf(cloud)
	if !ok {
		return usageErrorf("%q has no keys to keep", oms.Clean(cloudName))
	}
	keys, err := location{vendor: v, profile: opts.profile}.credentials(env, source)
	if err != nil {
		return err
	}
	c, err := connect()
	if err != nil {
		return err
	}
	err = c.KeepConnection(ctx, name, &omsv2.KeepConnectionRequest{
		CloudType: string(cloud), Region: opts.region, Description: opts.description,
		AK: omsv2.Secret(keys.AccessKey), SK: wire(keys.SecretKey), SecurityToken: wire(keys.SecurityToken),
		ConnectionString: wire(keys.ConnectionString), JSONAuthFile: wire(keys.AuthFile),
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "connection %s: stored\n", oms.Clean(name))
	return err
}

func newConnectionListCommand(env *Env, connect connector) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List connections, without their keys",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := connect()
			if err != nil {
				return err
			}
			list, err := c.ListConnections(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return writeLines(env, list.Connections)
			}
			rows := [][]string{{"NAME", "CLOUD", "REGION", "UPDATED", "DESCRIPTION"}}
			for _, conn := range list.Connections {
				rows = append(rows, []string{conn.Name, conn.CloudType, conn.Region, formatTime(conn.UpdatedTime), oms.Clean(conn.Description)})
			}
			return writeTable(env.Stdout, rows)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object per line")
	return cmd
}

// writeLines writes one JSON object per line.
func writeLines[T any](env *Env, list []T) error {
	for _, v := range list {
		if err := writeJSON(env.Stdout, v); err != nil {
			return err
		}
	}
	return nil
}

func newConnectionCheckCommand(env *Env, connect connector) *cobra.Command {
	var req omsv2.CheckConnectionRequest
	cmd := &cobra.Command{
		Use:   "check NAME",
		Short: "Try the keys of a connection on a bucket, or by listing the buckets of the account",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect()
			if err != nil {
				return err
			}
			found, err := c.CheckConnection(cmd.Context(), args[0], &req)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "connection %s: good (%s found)\n", oms.Clean(args[0]), strconv.FormatInt(found.Buckets, 10))
			return err
		},
	}
	cmd.Flags().StringVar(&req.Bucket, "bucket", "", "`BUCKET` to try the keys on")
	cmd.Flags().StringVar(&req.Region, "region", "", "`REGION` of the bucket, when it is not that of the connection")
	return cmd
}

// newNamedCommand deletes what has a name.
func newNamedCommand(env *Env, connect connector, short, what string, do func(*omsv2.Client, context.Context, string) error) *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect()
			if err != nil {
				return err
			}
			if err := do(c, cmd.Context(), args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "%s %s: deleted\n", what, oms.Clean(args[0]))
			return err
		},
	}
}
