package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/server"
)

// keyOptions are common to the key commands.
type keyOptions struct {
	dataDir       string
	database      string
	masterKeyFile string
}

// newKeyCommand manages access keys on the data directory.
func newKeyCommand(env *Env) *cobra.Command {
	var opts keyOptions
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Manage access keys and projects, on the data directory of a service",
		Long: `Manage access keys and projects, on the data directory of a service.

The service may run meanwhile: it accepts a new key at once and refuses a revoked one after five seconds.`,
	}
	asGroup(cmd)
	cmd.PersistentFlags().StringVar(&opts.dataDir, "data-dir", "", "data `DIR` of the service (default ./oms-data) [OMS_DATA_DIR]")
	cmd.PersistentFlags().StringVar(&opts.database, "database", "", "`URL` of the service's database (default SQLite in the data directory) [OMS_DATABASE]")
	cmd.PersistentFlags().StringVar(&opts.masterKeyFile, "master-key-file", "",
		"`FILE` with the master key (default DATA_DIR/master.key) [OMS_MASTER_KEY_FILE]")
	with := func(ctx context.Context, fn func(*server.Keys) error) error { return withKeys(ctx, env, opts, fn) }
	cmd.AddCommand(newKeyCreateCommand(env, with), newKeyListCommand(env, with), newKeyRevokeCommand(env, with))
	return cmd
}

// keysUser opens the access management for a function.
type keysUser func(ctx context.Context, fn func(*server.Keys) error) error

func withKeys(ctx context.Context, env *Env, opts keyOptions, fn func(*server.Keys) error) (err error) {
	if opts.dataDir == "" {
		opts.dataDir = dataDir(env)
	}
	if opts.database == "" {
		opts.database = env.Getenv("OMS_DATABASE")
	}
	if opts.masterKeyFile == "" {
		opts.masterKeyFile = env.Getenv("OMS_MASTER_KEY_FILE")
	}
	keys, err := server.OpenKeys(ctx, server.KeysOptions{
		DataDir: opts.dataDir, Database: opts.database, MasterKeyFile: opts.masterKeyFile, Logger: slog.New(slog.DiscardHandler), Clock: env.Now,
	})
	if err != nil {
		return startError(err)
	}
	defer func() { err = errors.Join(err, keys.Close()) }()
	return fn(keys)
}

type keyCreateOptions struct {
	project string
	user    string
	role    string
	json    bool
}

func newKeyCreateCommand(env *Env, with keysUser) *cobra.Command {
	var opts keyCreateOptions
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make an access key; its secret is shown this one time",
		Example: `  oms key create
  oms key create --project photos --role reader`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return with(cmd.Context(), func(k *server.Keys) error { return runKeyCreate(cmd.Context(), env, k, opts) })
		},
	}
	cmd.Flags().StringVar(&opts.project, "project", "default", "id or `NAME` of the project, which is made when there is none")
	cmd.Flags().StringVar(&opts.user, "user", "admin", "`NAME` of the user that the key acts for")
	cmd.Flags().StringVar(&opts.role, "role", "", "most that the key may do: `ROLE` is admin, writer or reader (default the user's)")
	cmd.Flags().BoolVar(&opts.json, "json", false, "write JSON")
	return cmd
}

// keyJSON is an access key for programs.
type keyJSON struct {
	AK        string `json:"ak"`
	SK        string `json:"sk,omitempty"` // only when the key is made
	ProjectID string `json:"project_id"`
	Project   string `json:"project"`
	Role      string `json:"role,omitempty"`
	Status    string `json:"status,omitempty"`
	CreatedAt string `json:"created_at,omitempty"` // RFC 3339
}

func runKeyCreate(ctx context.Context, env *Env, k *server.Keys, opts keyCreateOptions) error {
	project, err := findOrCreateProject(ctx, k, opts)
	if err != nil {
		return err
	}
	c, err := k.CreateKey(ctx, auth.KeyRequest{Project: project.ID, User: opts.user, Role: oms.Role(opts.role)})
	if err != nil {
		return err
	}
	if opts.json {
		return writeJSON(env.Stdout, keyJSON{AK: c.AK, SK: c.SK.Reveal(), ProjectID: project.ID, Project: project.Name, Role: opts.role})
	}
	_, err = fmt.Fprintf(env.Stdout, "OMS_AK=%s\nOMS_SK=%s\nOMS_PROJECT=%s\n", c.AK, c.SK.Reveal(), project.ID)
	return err
}

// findOrCreateProject returns the project of the options.
func findOrCreateProject(ctx context.Context, k *server.Keys, opts keyCreateOptions) (auth.Project, error) {
	if role := oms.Role(opts.role); opts.role != "" && !role.Valid() {
		return auth.Project{}, usageErrorf("--role %q: want admin, writer or reader", oms.Clean(opts.role))
	}
	project, err := k.FindProject(ctx, opts.project)
	if errors.Is(err, oms.NotFound) {
		return k.CreateProject(ctx, opts.project, opts.user)
	}
	return project, err
}

func newKeyListCommand(env *Env, with keysUser) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List access keys, without their secrets",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return with(cmd.Context(), func(k *server.Keys) error {
				keys, err := listKeys(cmd.Context(), k)
				if err != nil {
					return err
				}
				if asJSON {
					return writeKeysJSON(env, keys)
				}
				rows := [][]string{{"ACCESS KEY", "PROJECT", "ROLE", "STATE", "CREATED"}}
				for _, key := range keys {
					rows = append(rows, []string{key.AK, key.Project + " " + key.ProjectID, key.Role, key.Status, key.CreatedAt})
				}
				return writeTable(env.Stdout, rows)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object per line")
	return cmd
}

func writeKeysJSON(env *Env, keys []keyJSON) error {
	for _, key := range keys {
		if err := writeJSON(env.Stdout, key); err != nil {
			return err
		}
	}
	return nil
}

// listKeys returns all keys with the names of their projects.
func listKeys(ctx context.Context, k *server.Keys) ([]keyJSON, error) {
	projects, err := k.Projects(ctx)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, p := range projects {
		names[p.ID] = p.Name
	}
	keys, err := k.ListKeys(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]keyJSON, len(keys))
	for i, key := range keys {
		list[i] = keyJSON{
			AK: key.AK, ProjectID: key.ProjectID, Project: names[key.ProjectID], Role: string(key.Role),
			Status: string(key.Status), CreatedAt: key.CreatedAt.UTC().Format(time.RFC3339),
		}
	}
	return list, nil
}

func newKeyRevokeCommand(env *Env, with keysUser) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke AK",
		Short: "End an access key for good",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return with(cmd.Context(), func(k *server.Keys) error {
				err := k.RevokeKey(cmd.Context(), args[0])
				if errors.Is(err, oms.NotFound) {
					return usageErrorf("no access key %q", oms.Clean(args[0]))
				}
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(env.Stdout, "%s: revoked\n", args[0])
				return err
			})
		},
	}
}
