package engine

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/openoms/openoms/internal/oms"
)

// Fields of the sealed credentials.
const (
	fieldSrc = "src"
	fieldDst = "dst"
)

// sealedKeys is the text inside a seal. Stored: fields are only added.
type sealedKeys struct {
	AK    string `json:"ak,omitempty"`
	SK    string `json:"sk,omitempty"`
	Token string `json:"token,omitempty"`
	CDN   string `json:"cdn,omitempty"`
	Azure string `json:"azure,omitempty"`
	File  string `json:"file,omitempty"`
}

// aad binds a seal to its place, so that it opens nowhere else (rule S4).
func aad(project string, id int64, field string) string {
	return project + "|" + strconv.FormatInt(id, 10) + "|" + field + "|v1"
}

// place returns what binds the seal of a field.
type place func(field string) string

// ofTask is the place of a task's credentials.
func ofTask(project string, id int64) place {
	return func(field string) string { return aad(project, id, field) }
}

// sealAll returns the sealed credentials of the task by field.
func sealAll(s Sealer, project string, id int64, keys oms.TaskCredentials) (map[string][]byte, error) {
	return sealAt(s, ofTask(project, id), keys)
}

// sealAt returns the credentials sealed for a place, by field.
func sealAt(s Sealer, at place, keys oms.TaskCredentials) (map[string][]byte, error) {
	sealed := make(map[string][]byte, 2)
	for field, c := range map[string]oms.Credentials{fieldSrc: keys.Src, fieldDst: keys.Dst} {
		text, err := json.Marshal(sealedKeys{
			AK: c.AccessKey, SK: c.SecretKey.Reveal(), Token: c.SecurityToken.Reveal(), CDN: c.CDNKey.Reveal(),
			Azure: c.ConnectionString.Reveal(), File: c.AuthFile.Reveal(),
		})
		if err != nil {
			return nil, fmt.Errorf("encode %s credentials: %w", field, err)
		}
		sealed[field], err = s.Seal(text, at(field))
		if err != nil {
			return nil, fmt.Errorf("seal %s credentials: %w", field, err)
		}
	}
	return sealed, nil
}

// unseal opens what sealAll returned. Errors are oms.Denied of the side whose keys cannot be had.
func unseal(s Sealer, project string, id int64, sealed map[string][]byte) (oms.TaskCredentials, error) {
	return unsealAt(s, ofTask(project, id), sealed)
}

// unsealAt opens what sealAt returned for the place.
func unsealAt(s Sealer, at place, sealed map[string][]byte) (oms.TaskCredentials, error) {
	src, err := unsealOne(s, at, fieldSrc, sealed)
	if err != nil {
		return oms.TaskCredentials{}, &keysGone{side: oms.Source, err: err}
	}
	dst, err := unsealOne(s, at, fieldDst, sealed)
	if err != nil {
		return oms.TaskCredentials{}, &keysGone{side: oms.Destination, err: err}
	}
	return oms.TaskCredentials{Src: src, Dst: dst}, nil
}

func unsealOne(s Sealer, at place, field string, sealed map[string][]byte) (oms.Credentials, error) {
	box, ok := sealed[field]
	if !ok {
		return oms.Credentials{}, oms.Errorf(oms.NotFound, "", "no %s credentials are stored", field)
	}
	text, err := s.Open(box, at(field))
	if err != nil {
		return oms.Credentials{}, fmt.Errorf("open %s credentials: %w", field, err)
	}
	var k sealedKeys
	if err := json.Unmarshal(text, &k); err != nil {
		// The cause may quote the text, which is a secret.
		return oms.Credentials{}, oms.Errorf(oms.Corrupt, "", "%s credentials are damaged", field)
	}
	return oms.Credentials{
		AccessKey: k.AK, SecretKey: oms.NewSecret(k.SK), SecurityToken: oms.NewSecret(k.Token), CDNKey: oms.NewSecret(k.CDN),
		ConnectionString: oms.NewSecret(k.Azure), AuthFile: oms.NewSecret(k.File),
	}, nil
}

// keysGone says that a task has no usable keys any more.
type keysGone struct {
	side oms.Side
	err  error
}

func (k *keysGone) Error() string { return "credentials of the task: " + k.err.Error() }
func (k *keysGone) Unwrap() error { return k.err }

// reason returns what the task shows.
func (k *keysGone) reason() oms.ErrorReason {
	if k.side == oms.Source {
		return oms.ErrorReason{Code: "TRF.0151", Message: "The source keys are no longer stored. Start the task with valid keys."}
	}
	return oms.ErrorReason{Code: "TRF.0057", Message: "The destination keys are no longer stored. Start the task with valid keys."}
}
