package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/openoms/openoms/internal/cloudkeys"
	"github.com/openoms/openoms/internal/oms"
)

// maxAuthFile is the largest service account file that is read, in bytes.
const maxAuthFile = 256 << 10

// documents returns the credentials that Azure's and Google's tools keep as something other than a pair of keys; given
// is false when there are none.
func (l location) documents(env *Env) (c oms.Credentials, given bool, err error) {
	switch l.vendor.cloud {
	case oms.CloudAzure:
		return l.azure(env)
	case oms.CloudGoogle:
		if env.Getenv("GS_ACCESS_KEY_ID") != "" { // the way to choose HMAC keys where both are there
			return c, false, nil
		}
		path := env.Getenv("GOOGLE_APPLICATION_CREDENTIALS")
		if path == "" {
			return c, false, nil
		}
		c.AuthFile, err = readAuthFile(path)
		return c, true, err
	default:
		return c, false, nil
	}
}

// azure reads the variables of Azure's tools. Those of another account than the location's are passed over.
func (l location) azure(env *Env) (c oms.Credentials, given bool, err error) {
	named := env.Getenv("AZURE_STORAGE_ACCOUNT")
	account := l.account
	if account == "" { // a task knows its container only
		account = named
	}
	if text := env.Getenv("AZURE_STORAGE_CONNECTION_STRING"); text != "" {
		c.ConnectionString = oms.NewSecret(text)
		a, err := cloudkeys.ParseAzure(c)
		if err != nil {
			return c, true, usageErrorf("AZURE_STORAGE_CONNECTION_STRING: %s", err)
		}
		if account == "" || a.Name == account {
			return c, true, nil
		}
	}
	if account == "" || named != "" && named != account {
		return oms.Credentials{}, false, nil
	}
	if key := env.Getenv("AZURE_STORAGE_KEY"); key != "" {
		return oms.Credentials{AccessKey: account, SecretKey: oms.NewSecret(key)}, true, nil
	}
	if sas := env.Getenv("AZURE_STORAGE_SAS_TOKEN"); sas != "" {
		c = oms.Credentials{ConnectionString: oms.NewSecret("AccountName=" + account + ";SharedAccessSignature=" + sas)}
		return c, true, nil
	}
	return oms.Credentials{}, false, nil
}

// readAuthFile reads a service account file.
func readAuthFile(path string) (secret oms.Secret, err error) {
	f, err := os.Open(path)
	if err != nil {
		return secret, usageError(fmt.Errorf("GOOGLE_APPLICATION_CREDENTIALS: %w", err))
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	text, err := io.ReadAll(io.LimitReader(f, maxAuthFile+1))
	if err != nil {
		return secret, fmt.Errorf("read service account file: %w", err)
	}
	secret = oms.NewSecret(string(text))
	if _, err := cloudkeys.ParseServiceAccount(secret); err != nil {
		return oms.Secret{}, usageErrorf("GOOGLE_APPLICATION_CREDENTIALS: %s", err)
	}
	return secret, nil
}

// locate returns where the account of Azure keys is reached. What a person types, or has in the own environment, is
// trusted.
func (l location) locate(at oms.Endpoint, keys oms.Credentials) (oms.Endpoint, error) {
	if l.vendor.cloud != oms.CloudAzure {
		return at, nil
	}
	a, err := cloudkeys.ParseAzure(keys)
	if err != nil {
		return at, usageErrorf("the keys for %s: %s", l, err)
	}
	if own, ok := a.Own(); ok {
		if l.endpoint != "" && l.endpoint != own {
			return at, usageErrorf("%s: the connection string names another endpoint", l)
		}
		at.URL = own
	}
	if at, err = a.Locate(at); err != nil {
		return at, usageErrorf("the keys for %s: %s", l, err)
	}
	return at, nil
}
