package auth

import (
	"errors"

	"github.com/openoms/openoms/internal/oms"
)

// Codes of the refusals.
const (
	CodeUnauthenticated = "APIGW.0301" // status 401
	CodeReadOnly        = "OMS.0205"   // status 403: a reader tried to write
	CodeNoRight         = "OMS.0206"   // status 403: the action or the project is not the caller's
)

// Action is the name of an IAM action (OMS v2, section 2).
type Action string

// The actions of OMS v2. Where the contract names none, the name is ours.
const (
	TaskList         Action = "oms:task:list"
	TaskCreate       Action = "oms:task:create"
	TaskGet          Action = "oms:task:get"
	TaskDelete       Action = "oms:task:delete"
	TaskUpdate       Action = "oms:task:update"
	GroupList        Action = "oms:taskgroup:list"
	GroupCreate      Action = "oms:taskgroup:create"
	GroupGet         Action = "oms:taskgroup:get"
	GroupDelete      Action = "oms:taskgroup:delete"
	GroupUpdate      Action = "oms:taskgroup:update"
	SyncList         Action = "oms:synctask:list"
	SyncCreate       Action = "oms:synctask:create"
	SyncGet          Action = "oms:synctask:get"
	SyncDelete       Action = "oms:synctask:delete"
	SyncUpdate       Action = "oms:synctask:update"
	SyncCreateEvent  Action = "oms:synctask:createEvent"
	SyncStatistics   Action = "oms:synctask:statistics"
	ListCloudTypes   Action = "oms::listCloudTypes"
	ListCloudRegions Action = "oms::listCloudRegions"
	ListBuckets      Action = "oms::listBuckets"
	ListObjects      Action = "oms::listObjects"
	ListBucketRegion Action = "oms::listBucketRegions"
	CheckPrefix      Action = "oms::checkBucketPrefix"
	CheckCDN         Action = "oms::checkCdnInfo"
	CheckURLList     Action = "oms::checkUrlSourceListFile"
	UpdatePrivacy    Action = "oms::updatePrivacyAgreement"
)

// The actions of the extensions under /ext/v1 and of the service itself.
const (
	ExtensionGet    Action = "openoms::get"    // results, progress, reports, schedules: reading
	ExtensionUpdate Action = "openoms::update" // connections, schedules, assessments: writing
	Administer      Action = "openoms::admin"  // users, keys, limits; admins only
)

// access is what an action does to the service's state.
type access uint8

const (
	accessNone  access = iota // not an action
	accessRead                // lists or gets
	accessWrite               // creates, changes or deletes
	accessAdmin               // administers the service; writes
)

// access returns what the action does. The levels are those of OMS v2, section 2: the list actions, get,
// statistics and the checks read, everything else writes.
func (a Action) access() access {
	switch a {
	case TaskList, TaskGet, GroupList, GroupGet, SyncList, SyncGet, SyncStatistics, ListCloudTypes,
		ListCloudRegions, ListBuckets, ListObjects, ListBucketRegion, CheckPrefix, CheckCDN, CheckURLList,
		ExtensionGet:
		return accessRead
	case TaskCreate, TaskDelete, TaskUpdate, GroupCreate, GroupDelete, GroupUpdate, SyncCreate, SyncDelete,
		SyncUpdate, SyncCreateEvent, UpdatePrivacy, ExtensionUpdate:
		return accessWrite
	case Administer:
		return accessAdmin
	}
	return accessNone
}

// Writes reports whether the action changes state.
func (a Action) Writes() bool { return a.access() >= accessWrite }

// Class says who may call a route. The zero value is no class: a route without one must not be served
// (rule S1).
type Class uint8

// The classes.
const (
	Public        Class = iota + 1 // anybody; the handler may authenticate by itself
	Authenticated                  // a caller with the right to the route's action in the path's project
)

// Route is what a handler declares of itself when it is registered.
type Route struct {
	Class  Class
	Action Action // required for Authenticated, empty for Public
}

// Validate returns an error for a route that does not say completely who may call it; a server must refuse to
// start with one.
func (r Route) Validate() error {
	switch r.Class {
	case Public:
		if r.Action != "" {
			return errors.New("public route with an action")
		}
		return nil
	case Authenticated:
		if r.Action.access() == accessNone {
			return errors.New("route with an unknown action")
		}
		return nil
	}
	return errors.New("route without a class")
}

// Authorize returns nil when id may do action in project, the project of the path. The tenant comes from the
// credential only: a foreign project and an unknown one are refused alike with CodeNoRight, a reader that
// wants to write with CodeReadOnly. It is the one place that decides (rule S1).
func Authorize(id Identity, action Action, project string) error {
	switch {
	case id.Credential == NoCredential || project == "" || id.ProjectID != project:
		return noRight()
	case !id.Role.Valid():
		return noRight()
	}
	switch action.access() {
	case accessRead:
		return nil
	case accessWrite:
		if id.Role == RoleReader {
			return oms.Errorf(oms.Denied, CodeReadOnly, "The user has read-only permissions and cannot perform this operation.")
		}
		return nil
	case accessAdmin:
		if id.Role == RoleAdmin {
			return nil
		}
	case accessNone:
	}
	return noRight()
}

func noRight() error {
	return oms.Errorf(oms.Denied, CodeNoRight, "The user does not have permission to perform this operation.")
}
