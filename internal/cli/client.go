package cli

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/omsv2"
)

// defaultEndpoint is where a service listens when nobody said otherwise.
const defaultEndpoint = "http://127.0.0.1:8480"

// clientOptions say which service to talk to, and as whom.
type clientOptions struct {
	envFile string // "" means the one in the default data directory
}

// newClient returns a client of the API. Keys come from OMS_AK, OMS_SK and OMS_PROJECT, or from the file that a
// service's first start leaves in its data directory.
func newClient(env *Env, opts clientOptions) (*omsv2.Client, error) {
	c := &omsv2.Client{
		Endpoint: env.Getenv("OMS_ENDPOINT"), ProjectID: env.Getenv("OMS_PROJECT"),
		AccessKey: env.Getenv("OMS_AK"), SecretKey: omsv2.Secret(env.Getenv("OMS_SK")),
		UserAgent: "oms/" + buildVersion(), Now: env.Now,
	}
	if c.Endpoint == "" {
		c.Endpoint = defaultEndpoint
	}
	if c.AccessKey != "" && opts.envFile == "" {
		if c.SecretKey == "" || c.ProjectID == "" {
			return nil, usageErrorf("OMS_AK, OMS_SK and OMS_PROJECT belong together: set all or none")
		}
		return c, nil
	}
	file := opts.envFile
	if file == "" {
		file = filepath.Join(dataDir(env), bootstrapFile)
	}
	first, err := auth.ReadBootstrapEnv(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usageErrorf("no keys for the service: set OMS_AK, OMS_SK and OMS_PROJECT, or name a file with --env-file (%s does not exist)", file)
	}
	if err != nil {
		return nil, usageError(err)
	}
	c.AccessKey, c.SecretKey, c.ProjectID = first.AK, omsv2.Secret(first.SK.Reveal()), first.ProjectID
	return c, nil
}

// bootstrapFile is the file with the first credentials in the data directory.
const bootstrapFile = "bootstrap.env"

// dataDir returns the data directory of a service on this machine.
func dataDir(env *Env) string {
	if dir := env.Getenv("OMS_DATA_DIR"); dir != "" {
		return dir
	}
	return "oms-data"
}
