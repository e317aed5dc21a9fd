package auth

import "testing"

func allActions() map[Action]access {
	m := map[Action]access{Administer: accessAdmin}
	for _, a := range []Action{
		TaskList, TaskGet, GroupList, GroupGet, SyncList, SyncGet, SyncStatistics, ListCloudTypes, ListCloudRegions, ListBuckets,
		ListObjects, ListBucketRegion, CheckPrefix, CheckCDN, CheckURLList, ExtensionGet,
	} {
		m[a] = accessRead
	}
	for _, a := range []Action{
		TaskCreate, TaskDelete, TaskUpdate, GroupCreate, GroupDelete, GroupUpdate, SyncCreate, SyncDelete, SyncUpdate,
		SyncCreateEvent, UpdatePrivacy, ExtensionUpdate,
	} {
		m[a] = accessWrite
	}
	return m
}

// TestAuthorize is the whole table of roles, actions and projects (rule S1).
func TestAuthorize(t *testing.T) {
	actions := allActions()
	actions["oms:task:unknown"], actions[""] = accessNone, accessNone
	for action, level := range actions {
		for _, role := range []Role{RoleAdmin, RoleWriter, RoleReader, "", "root"} {
			for _, project := range []string{"p1", "p2", ""} {
				want := CodeNoRight
				switch {
				case project != "p1" || !role.Valid():
				case level == accessRead, level == accessWrite && role != RoleReader, level == accessAdmin && role == RoleAdmin:
					want = ""
				case level == accessWrite:
					want = CodeReadOnly
				}
				id := Identity{UserID: "u", ProjectID: "p1", Role: role, Credential: TokenCredential}
				wantCode(t, Authorize(id, action, project), want)
			}
		}
		wantCode(t, Authorize(Identity{}, action, ""), CodeNoRight)
		wantCode(t, Authorize(Identity{ProjectID: "p1", Role: RoleAdmin}, action, "p1"), CodeNoRight)
		if got, want := action.Writes(), level == accessWrite || level == accessAdmin; got != want {
			t.Errorf("%q writes: got %v, want %v", action, got, want)
		}
	}
}

func TestRouteValidate(t *testing.T) {
	for _, tt := range []struct {
		route Route
		ok    bool
	}{
		{Route{}, false},
		{Route{Action: TaskList}, false},
		{Route{Class: Public}, true},
		{Route{Class: Public, Action: TaskList}, false},
		{Route{Class: Authenticated}, false},
		{Route{Class: Authenticated, Action: "oms:task:unknown"}, false},
		{Route{Class: Authenticated, Action: TaskList}, true},
		{Route{Class: 3, Action: TaskList}, false},
	} {
		if err := tt.route.Validate(); tt.ok != (err == nil) {
			t.Errorf("%+v: got %v, want ok %v", tt.route, err, tt.ok)
		}
	}
}

// TestAdmitUnknownClass: a route that forgot its class is not public.
func TestAdmitUnknownClass(t *testing.T) {
	f := newFixture(t)
	r := golden()["A"].request(t)
	if _, err := f.Admit(t.Context(), r, nil, Route{}, testProject); err == nil {
		t.Error("a route without a class let an unknown caller in")
	}
	id, err := f.Admit(t.Context(), r, nil, Route{Class: Public}, "")
	if err != nil || id != (Identity{}) {
		t.Errorf("public: got %+v, %v", id, err)
	}
}

// TestTenants: two users with two projects each; every key and every token reaches its own project only, with
// the weaker of the key's and the user's role.
func TestTenants(t *testing.T) {
	f := newFixture(t)
	f.addUser("u2", "bob", RoleWriter)
	f.addProject("p2", "second", "u1")
	f.addProject("p3", "third", "u2")
	keys := []struct {
		ak, project, user string
		role              Role
		want              Role
	}{
		{"KA", testProject, "u1", RoleAdmin, RoleAdmin},
		{"KB", "p2", "u1", RoleReader, RoleReader},
		{"KC", "p3", "u2", RoleAdmin, RoleWriter},
		{"KD", "p3", "u2", RoleReader, RoleReader},
		{"KE", "p3", "u2", "", ""},
	}
	for _, k := range keys {
		f.addKey(t, k.ak, "sk-of-"+k.ak, k.user, k.project, k.role)
	}
	for _, k := range keys {
		for _, project := range []string{testProject, "p2", "p3", "unknown"} {
			s := signer{ak: k.ak, sk: "sk-of-" + k.ak}
			w := golden()["A"]
			w.del("X-Project-Id")
			s.sign(&w, signedLike(w)...)
			id, err := f.admit(t, w, TaskGet, project)
			want := ""
			if project != k.project || k.want == "" {
				want = CodeNoRight
			}
			wantCode(t, err, want)
			if id.ProjectID != k.project || id.Role != k.want {
				t.Errorf("%s: got project %s, role %q, want %s, %q", k.ak, id.ProjectID, id.Role, k.project, k.want)
			}
			_, err = f.admit(t, post(t, s, project), TaskGet, project) // with X-Project-Id
			if project != k.project {
				wantCode(t, err, CodeUnauthenticated)
			}
		}
		_, err := f.admit(t, post(t, signer{ak: k.ak, sk: "sk-of-" + k.ak}, k.project), TaskUpdate, k.project)
		want := map[Role]string{RoleReader: CodeReadOnly, "": CodeNoRight}[k.want]
		wantCode(t, err, want)
	}
}
