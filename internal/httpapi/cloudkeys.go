package httpapi

import (
	"errors"

	"github.com/openoms/openoms/internal/cloudkeys"
	"github.com/openoms/openoms/internal/oms"
)

// documents reads connection_string and json_auth_file, which open accounts of Azure and Google in place of a pair of
// keys (OMS v2, 7); given is false without either. cloud is empty where the request does not tell it. What they hold is
// secret and not shown in any answer.
func documents(f fields, prefix string, cloud oms.CloudType) (c oms.Credentials, given bool) {
	connection := f.text("connection_string", maxConnection)
	file := f.text("json_auth_file", maxAuthFile)
	switch {
	case connection == "" && file == "":
		return c, false
	case connection != "" && file != "":
		f.refuse("OMS.1003", "Only one of the fields %sconnection_string and %sjson_auth_file can be given.", f.path, f.path)
	case connection != "" && cloud != "" && cloud != oms.CloudAzure:
		f.refuse("OMS.1003", "The field %sconnection_string is for the cloud type Azure only.", f.path)
	case file != "" && cloud != "" && cloud != oms.CloudGoogle:
		f.refuse("OMS.1003", "The field %sjson_auth_file is for the cloud type Google only.", f.path)
	}
	c = oms.Credentials{ConnectionString: oms.NewSecret(connection), AuthFile: oms.NewSecret(file)}
	if connection != "" {
		_, err := cloudkeys.ParseAzure(c)
		f.unusable("connection_string", err)
	} else {
		_, err := cloudkeys.ParseServiceAccount(c.AuthFile)
		f.unusable("json_auth_file", err)
	}
	plainSecrets(f, prefix)
	return c, true
}

// unusable refuses a member for what package cloudkeys found, which quotes nothing secret.
func (f fields) unusable(name string, err error) {
	if err == nil {
		return
	}
	reason := "it cannot be read"
	if e, ok := errors.AsType[*oms.Error](err); ok {
		reason = e.Msg
	}
	f.refuse("OMS.1003", "The field %s is not usable: %s.", f.path+name, reason)
}

// cloudCredentials reads the mandatory keys of one side whose cloud is known. The access key of Azure is the name of the
// account, the secret key its key.
func cloudCredentials(f fields, prefix string, cloud oms.CloudType) oms.Credentials {
	c := credentials(f, prefix)
	if cloud == oms.CloudAzure && !f.failed() {
		_, err := cloudkeys.ParseAzure(c)
		f.unusable(prefix+"ak or "+prefix+"sk", err)
	}
	return c
}

// locate replaces the endpoint of an Azure region by that of the account: it travels with the task and tells containers
// of different accounts apart.
func locate(f fields, spec *oms.TaskSpec, keys oms.TaskCredentials) {
	locateOne(f, spec.Src.CloudType, &spec.Src.Endpoint, keys.Src)
	locateOne(f, spec.Dst.CloudType, &spec.Dst.Endpoint, keys.Dst)
}

func locateOne(f fields, cloud oms.CloudType, at *oms.Endpoint, keys oms.Credentials) {
	if f.failed() || cloud != oms.CloudAzure {
		return
	}
	account, err := cloudkeys.ParseAzure(keys)
	if err == nil {
		*at, err = account.Locate(*at)
	}
	f.unusable("connection_string", err)
}
