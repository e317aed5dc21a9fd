package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/server"
	"github.com/openoms/openoms/internal/telemetry"
)

// newServeCommand is the service.
func newServeCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the service: API, access management, scheduler and workers in one process",
		Long: `Run the service: API, access management, scheduler and workers in one process.

The first line on stdout is the address that was chosen. The first start makes an access key, a project and a
password for the user admin, or takes OMS_BOOTSTRAP_AK, OMS_BOOTSTRAP_SK, OMS_BOOTSTRAP_PROJECT and
OMS_BOOTSTRAP_PASSWORD, and writes them to DATA_DIR/bootstrap.env. SIGTERM and Ctrl-C stop in order within ten
seconds; the next start goes on by itself, after kill -9 as well.

Flags win over environment variables, those over the configuration file.`,
		Example: `  oms serve
  oms serve --listen 127.0.0.1:0 --data-dir /var/lib/openoms --config /etc/openoms.yaml
  oms serve --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem`,
		Args: cobra.NoArgs,
	}
	values := registerSettings(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := server.Load(values.given(cmd.Flags()), env.Getenv)
		if err != nil {
			return usageError(err)
		}
		return runServe(cmd.Context(), env, cfg)
	}
	return cmd
}

// settingFlags are the flags of the configuration; their values are read by package server.
type settingFlags map[string]*string

// registerSettings adds a flag for each setting and one for the configuration file.
func registerSettings(flags *pflag.FlagSet) settingFlags {
	values := settingFlags{}
	add := func(name, variable, value, usage string) {
		if variable != "" {
			usage += " [" + variable + "]"
		}
		if value != "" {
			usage += " `" + value + "`"
		}
		text := new(string)
		values[name] = text
		flags.Var((*settingValue)(text), name, usage)
		if value == "" {
			flags.Lookup(name).NoOptDefVal = "true"
		}
	}
	for _, s := range server.Settings() {
		add(s.Flag, s.Env, s.Value, s.Usage)
	}
	add(server.ConfigFlag, server.ConfigEnv, "FILE", "configuration in YAML")
	return values
}

// given returns the flags that were given, by name.
func (v settingFlags) given(flags *pflag.FlagSet) map[string]string {
	given := map[string]string{}
	for name, text := range v {
		if flags.Changed(name) {
			given[name] = *text
		}
	}
	return given
}

// settingValue is the text of a flag, which package server checks.
type settingValue string

func (v *settingValue) String() string { return string(*v) }
func (v *settingValue) Type() string   { return "" }
func (v *settingValue) Set(text string) error {
	*v = settingValue(text)
	return nil
}

// runServe runs the service until ctx ends.
func runServe(ctx context.Context, env *Env, cfg server.Config) (err error) {
	log, err := newLogger(env, cfg.LogFormat, cfg.LogLevel)
	if err != nil {
		return usageError(err)
	}
	s, err := server.New(ctx, server.Options{
		Config: cfg, Initial: initialCredentials(env), Version: buildVersion(), Logger: log, Clock: env.Now,
	})
	if err != nil {
		return startError(err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if _, err := fmt.Fprintln(env.Stdout, "listening on "+s.URL()); err != nil {
		return err
	}
	if first, file := s.FirstStart(); first {
		log.InfoContext(ctx, "first start: the credentials are in a file", "file", file)
	}
	return s.Run(ctx)
}

// startError says what an operator can change; without its mark a start that fails is a matter of configuration.
func startError(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return usageError(err)
}

// newLogger returns the logger of a command on stderr.
func newLogger(env *Env, format, level string) (*slog.Logger, error) {
	f, err := telemetry.ParseFormat(format)
	if err != nil {
		return nil, err
	}
	l, err := telemetry.ParseLevel(level)
	if err != nil {
		return nil, err
	}
	return telemetry.NewLogger(env.Stderr, f, l), nil
}

// initialCredentials returns the first credentials that the environment names.
func initialCredentials(env *Env) auth.Initial {
	return auth.Initial{
		AK: env.Getenv(auth.EnvAK), SK: oms.NewSecret(env.Getenv(auth.EnvSK)),
		ProjectID: env.Getenv(auth.EnvProject), Password: oms.NewSecret(env.Getenv(auth.EnvPassword)),
	}
}
