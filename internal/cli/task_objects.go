package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

type taskObjectsOptions struct {
	outcome, prefix string
	limit           int
	json            bool
}

func newTaskObjectsCommand(env *Env, connect connector) *cobra.Command {
	var opts taskObjectsOptions
	cmd := &cobra.Command{
		Use:   "objects ID",
		Short: "List the objects of a task by what became of them",
		Long: `List the objects of a task by what became of them: success, skipped, failed, or metadata for objects whose
metadata was not carried whole.

All but failed objects are read from the lists at the destination. The keys of a task are destroyed when it ends: then
those of the destination are sent along, from OMS_DST_AK and OMS_DST_SK or the variables of its own tools. They are used
for this and not kept.`,
		Example: "  oms task objects 176722560000001 --outcome skipped --prefix 2024/",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := withTask(connect, args[0])
			if err != nil {
				return err
			}
			if opts.limit < 1 {
				return usageErrorf("--limit is a number from 1")
			}
			return runTaskObjects(cmd.Context(), env, c, id, opts)
		},
	}
	cmd.Flags().StringVar(&opts.outcome, "outcome", "success", "what became of the objects: `OUTCOME` is success, skipped, failed or metadata")
	cmd.Flags().StringVar(&opts.prefix, "prefix", "", "only objects whose names start with `TEXT`")
	cmd.Flags().IntVar(&opts.limit, "limit", 1000, "show at most `N` objects")
	cmd.Flags().BoolVar(&opts.json, "json", false, "write one JSON object per line")
	return cmd
}

// objectsPage is the most objects that are asked for at once.
const objectsPage = 1000

func runTaskObjects(ctx context.Context, env *Env, c *omsv2.Client, id int64, opts taskObjectsOptions) error {
	var keys *oms.Credentials
	after := ""
	for left := opts.limit; left > 0; {
		page, err := taskObjects(ctx, c, id, keys, omsv2.ListTaskObjectsOptions{
			Outcome: opts.outcome, Prefix: opts.prefix, After: after, Limit: min(left, objectsPage),
		})
		if e, ok := errors.AsType[*omsv2.Error](err); ok && e.Code == "OMS.1004" && keys == nil { // the task's own are gone
			given, err := destinationKeys(ctx, env, c, id)
			if err != nil {
				return err
			}
			keys = &given
			continue
		}
		if err != nil {
			return err
		}
		for i := range page.Objects {
			if err := writeTaskObject(env, &page.Objects[i], opts.json); err != nil {
				return err
			}
		}
		left -= len(page.Objects)
		if after = page.Next; after == "" {
			return nil
		}
	}
	return nil
}

// taskObjects asks for a page, with keys of the destination if there are any.
func taskObjects(ctx context.Context, c *omsv2.Client, id int64, keys *oms.Credentials, opts omsv2.ListTaskObjectsOptions) (*omsv2.ListTaskObjectsResponse, error) {
	if keys == nil {
		return c.ListTaskObjects(ctx, id, opts)
	}
	return c.QueryTaskObjects(ctx, id, &omsv2.QueryTaskObjectsRequest{
		Outcome: opts.Outcome, Prefix: opts.Prefix, After: opts.After, Limit: int64(opts.Limit),
		DstAK: keys.AccessKey, DstSK: wire(keys.SecretKey), DstSecurityToken: wire(keys.SecurityToken),
	})
}

// destinationKeys returns the keys of a task's destination.
func destinationKeys(ctx context.Context, env *Env, c *omsv2.Client, id int64) (oms.Credentials, error) {
	t, err := c.ShowTask(ctx, id)
	if err != nil {
		return oms.Credentials{}, err
	}
	return keysOf(env, destination, oms.CloudType(t.DstNode.CloudType))
}

// writeTaskObject writes a line: size, time of modification, name, and what else is known.
func writeTaskObject(env *Env, o *omsv2.TaskObject, asJSON bool) error { //nolint:revive // --json as the user gave it
	if asJSON {
		return writeJSON(env.Stdout, o)
	}
	at := "-"
	if o.LastModified != 0 {
		at = time.UnixMilli(o.LastModified).UTC().Format(time.RFC3339)
	}
	more := o.Uncarried
	if o.Code != "" {
		more = o.Code + ": " + o.Message
	}
	line := formatBytes(o.Size) + "\t" + at + "\t" + formatKey(o.Key)
	if more != "" {
		line += "\t" + oms.Clean(more)
	}
	_, err := fmt.Fprintln(env.Stdout, line)
	return err
}

// uncarried is what a summary says of metadata that was not carried.
type uncarried struct {
	counts []omsv2.UncarriedCount // by kind
	folder string                 // of the list of the objects; "" when there is none
}

// wireUncarried asks a service. One that does not tell is no reason to fail.
func wireUncarried(ctx context.Context, c *omsv2.Client, id int64) (u uncarried) {
	out, err := c.ShowTaskOutcomes(ctx, id)
	if err != nil {
		return u
	}
	u.counts = out.Uncarried
	for _, l := range out.Lists {
		if l.Outcome == string(oms.ListMetadata) {
			u.folder = l.Folder
		}
	}
	return u
}

// uncarriedOf is that of a task of this process.
func uncarriedOf(lists oms.TaskLists) (u uncarried) {
	for kind, n := range lists.Uncarried {
		if n > 0 {
			u.counts = append(u.counts, omsv2.UncarriedCount{Kind: oms.Uncarried(kind).String(), Objects: n})
		}
	}
	for _, l := range lists.Lists {
		if l.Kind == oms.ListMetadata {
			u.folder = lists.Folders[l.Kind]
		}
	}
	return u
}

// text returns the lines of a summary, "" when all was carried.
func (u uncarried) text() string {
	var objects, notAsked int64
	var kinds []string
	for _, c := range u.counts {
		switch c.Kind {
		case oms.UncarriedObjects.String():
			objects = c.Objects
		case oms.UncarriedNotAsked.String():
			notAsked = c.Objects
		default:
			kinds = append(kinds, oms.Clean(c.Kind)+" "+formatCount(c.Objects))
		}
	}
	var b strings.Builder
	if objects > 0 {
		fmt.Fprintf(&b, "  metadata not carried: %s objects (%s)", formatCount(objects), strings.Join(kinds, ", "))
		if u.folder != "" {
			fmt.Fprintf(&b, ", listed at the destination in %s", formatKey(u.folder))
		}
		b.WriteByte('\n')
	}
	if notAsked > 0 {
		fmt.Fprintf(&b, "  %s objects have metadata that was not asked for (see --metadata)\n", formatCount(notAsked))
	}
	return b.String()
}

// json returns the counts by kind, nil when all was carried.
func (u uncarried) json() map[string]int64 {
	if len(u.counts) == 0 {
		return nil
	}
	m := make(map[string]int64, len(u.counts))
	for _, c := range u.counts {
		m[c.Kind] = c.Objects
	}
	return m
}
