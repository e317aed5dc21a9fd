package cli

import (
	"github.com/spf13/cobra"

	"github.com/openoms/openoms/omsv2"
)

func newGroupCreateCommand(env *Env, connect connector) *cobra.Command {
	var opts taskCreateOptions
	cmd := &cobra.Command{
		Use:   "create SRC DST",
		Short: "Create a task group; its tasks are created and started in the background",
		Long: `Create a task group; its tasks are created and started in the background.

SRC and DST are locations such as s3://bucket/prefix?region=eu-west-1; the service looks the region up in its own
table. Objects whose key starts with SRC's prefix are migrated; they keep their whole key, and DST's prefix is put
before it. A limit of --bandwidth holds for each task of the group.

` + keysHelp,
		Example: `  oms group create 's3://photos?region=eu-west-1' 'obs://backup/aws/?region=cn-north-4' --wait`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			req, err := newTaskRequest(env, args[0], args[1], opts)
			if err != nil {
				return err
			}
			c, err := connect()
			if err != nil {
				return err
			}
			created, err := c.CreateTaskGroup(cmd.Context(), &omsv2.CreateTaskGroupRequest{
				TaskType: "PREFIX", SrcNode: req.SrcNode, DstNode: req.DstNode, Description: req.Description,
				BandwidthPolicy: req.BandwidthPolicy, ObjectOverwriteMode: req.ObjectOverwriteMode,
				EnableMetadataMigration: req.EnableMetadataMigration,
			})
			if err != nil {
				return err
			}
			return groupCreated(cmd.Context(), env, c, created.GroupID, opts.wait)
		},
	}
	opts.rules.register(cmd, false)
	cmd.Flags().StringVar(&opts.description, "description", "", "`TEXT` to keep with the group")
	cmd.Flags().BoolVar(&opts.wait, "wait", false, "return only when the group has ended")
	return cmd
}
