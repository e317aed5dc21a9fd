package httpapi

import (
	"context"
	"slices"
	"strings"

	"github.com/openoms/openoms/internal/oms"
)

// fitsType refuses a cloud type that the task type cannot have (OMS v2, 3.7).
func fitsType(f fields, cloud oms.CloudType, t oms.TaskType) {
	switch {
	case t == oms.TypeURLList && cloud != oms.CloudURL:
		f.refuse("OMS.0057", "The field %scloud_type must be URLSource for the task type url_list.", f.path)
	case t != oms.TypeURLList && cloud == oms.CloudURL:
		f.refuse("OMS.0057", "The cloud type URLSource is for task type url_list only.")
	}
}

// listFile reads the mandatory list_file of the task types list and url_list (OMS v2, 3.2). The file itself is looked
// at when the task runs.
func listFile(f fields) *oms.ListFile {
	if slices.ContainsFunc(f.texts("object_key", maxObjectKeys, maxObjectName), func(k string) bool { return k != "" }) {
		f.refuse("OMS.0061", "The field %sobject_key is for the task types object and prefix only.", f.path)
	}
	f.require("list_file")
	list := f.object("list_file")
	l := &oms.ListFile{
		Key: list.word("list_file_key", maxObjectName), Bucket: bucketIn(list, "obs_bucket", "OMS.0057"),
		Num: list.text("list_file_num", maxText),
	}
	if strings.Trim(l.Num, "0123456789") != "" {
		f.refuse("OMS.1003", "The field %slist_file.list_file_num must consist of digits.", f.path)
	}
	return l
}

// sourceKeys reads the keys of src_node, which URLs have none of.
func sourceKeys(f fields, spec oms.TaskSpec) oms.Credentials {
	if spec.Type == oms.TypeURLList {
		return oms.Credentials{}
	}
	if c, given := documents(f, "", spec.Src.CloudType); given {
		return c
	}
	return cloudCredentials(f, "", spec.Src.CloudType)
}

// startKeys reads the source keys of StartTask, which only tasks over URLs may leave out.
func startKeys(f fields) oms.Credentials {
	if c, given := documents(f, "src_", ""); given {
		return c
	}
	if !f.has("src_ak") && !f.has("src_sk") && !f.has("src_security_token") {
		return oms.Credentials{}
	}
	return credentials(f, "src_")
}

// needsSourceKeys refuses a start without source keys unless the task has a source without keys.
func (s *service) needsSourceKeys(ctx context.Context, project string, id int64) error {
	t, err := s.tasks.Task(ctx, project, id)
	if err != nil || t.Spec.Type == oms.TypeURLList {
		return err
	}
	return oms.Errorf(oms.Invalid, "OMS.1004", "The field src_ak is mandatory.")
}

// urlOnly refuses members that have no meaning for sources without a bucket, and those that have one only for them.
func urlOnly(f fields, spec oms.TaskSpec) {
	url := spec.Type == oms.TypeURLList
	if spec.Consistency == oms.CheckNone && !url {
		f.refuse("OMS.1003", "The consistency check no_check is for HTTP sources only.")
	}
	if url && spec.CDN != nil {
		f.refuse("OMS.0061", "The field source_cdn is for sources with a bucket only.")
	}
}
