package auth

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

func TestKeys(t *testing.T) {
	f := newFixture(t)
	if _, err := f.CreateUser(t.Context(), "bob", oms.NewSecret("bob's password"), RoleWriter); err != nil {
		t.Fatal(err)
	}
	p, err := f.CreateProject(t.Context(), "lab", "bob")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		req  KeyRequest
		want Role
	}{
		{KeyRequest{Project: "lab", User: "bob"}, RoleWriter},
		{KeyRequest{Project: p.ID, User: "bob", Role: RoleReader}, RoleReader},
		{KeyRequest{Project: p.ID, User: "bob", Role: RoleAdmin}, RoleWriter},
	} {
		c, err := f.CreateKey(t.Context(), tt.req)
		if err != nil {
			t.Fatal(err)
		}
		id, err := f.admit(t, post(t, signer{ak: c.AK, sk: c.SK.Reveal()}, p.ID), TaskGet, p.ID)
		if err != nil || id.Role != tt.want || id.UserName != "bob" {
			t.Errorf("%+v: got %+v, %v, want role %s", tt.req, id, err, tt.want)
		}
		if shown := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(shown, c.SK.Reveal()) {
			t.Errorf("the SK is shown: %s", shown)
		}
		if row := f.mem.keys[len(f.mem.keys)-1]; bytes.Contains(row.SealedSK, []byte(c.SK.Reveal())) {
			t.Error("the store holds the SK as it is")
		}
	}
	keys, err := f.ListKeys(t.Context())
	if err != nil || len(keys) != 4 {
		t.Fatalf("got %d keys, %v, want 4", len(keys), err)
	}
	for _, k := range keys {
		if k.SealedSK != nil {
			t.Errorf("the list holds the sealed SK of %s", k.AK)
		}
	}
	if f.mem.keys[0].SealedSK == nil {
		t.Error("listing changed the store's rows")
	}
	for name, req := range map[string]KeyRequest{
		"no such user": {Project: "lab", User: "nobody"}, "no such project": {Project: "nowhere", User: "bob"}, "no admin here": {Project: "lab"},
	} {
		if _, err := f.CreateKey(t.Context(), req); !errors.Is(err, oms.NotFound) {
			t.Errorf("%s: got %v, want NotFound", name, err)
		}
	}
	if _, err := f.CreateKey(t.Context(), KeyRequest{Project: "lab", User: "bob", Role: "root"}); !errors.Is(err, oms.Invalid) {
		t.Errorf("unknown role: got %v, want Invalid", err)
	}
	if err := f.RevokeKey(t.Context(), "NONE"); !errors.Is(err, oms.NotFound) {
		t.Errorf("revoke an unknown key: got %v, want NotFound", err)
	}
}

func TestUsersAndProjects(t *testing.T) {
	f := newFixture(t)
	good := oms.NewSecret("a password")
	for name, err := range map[string]error{
		"bad name":       second(f.CreateUser(t.Context(), "a b", good, RoleWriter)),
		"bad role":       second(f.CreateUser(t.Context(), "ab", good, "root")),
		"short password": second(f.CreateUser(t.Context(), "ab", oms.NewSecret("short"), RoleWriter)),
		"bad project":    second(f.CreateProject(t.Context(), "a/b", "alice")),
		"new password":   f.SetPassword(t.Context(), "alice", oms.NewSecret("short")),
	} {
		if !errors.Is(err, oms.Invalid) {
			t.Errorf("%s: got %v, want Invalid", name, err)
		}
	}
	if _, err := f.CreateUser(t.Context(), "alice", good, RoleWriter); !errors.Is(err, oms.Conflict) {
		t.Errorf("name taken: got %v, want Conflict", err)
	}
	if _, err := f.CreateProject(t.Context(), "default", "alice"); !errors.Is(err, oms.Conflict) {
		t.Errorf("project name taken: got %v, want Conflict", err)
	}
	if _, err := f.CreateProject(t.Context(), "lab", "nobody"); !errors.Is(err, oms.NotFound) {
		t.Errorf("project of nobody: got %v, want NotFound", err)
	}
	if err := f.SetPassword(t.Context(), "nobody", good); !errors.Is(err, oms.NotFound) {
		t.Errorf("password of nobody: got %v, want NotFound", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestRandomText(t *testing.T) {
	seen := map[rune]int{}
	for range 200 {
		for _, c := range randomText(40, upperAlnum) {
			seen[c]++
		}
	}
	if len(seen) != len(upperAlnum) {
		t.Errorf("got the characters %q, want all of %q", slices.Sorted(maps.Keys(seen)), upperAlnum)
	}
	if a, b := randomText(20, alnum), randomText(20, alnum); a == b || len(a) != 20 {
		t.Errorf("got %q and %q", a, b)
	}
}

// TestTTLCache: bounded, forgetful, and right when the clock is set back.
func TestTTLCache(t *testing.T) {
	now := newClock(t, testDate).Now()
	c := newTTLCache[string, int](time.Second, 8)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() { c.put(strconv.Itoa(i), i, now) })
	}
	wg.Wait()
	if len(c.entries) != 8 {
		t.Errorf("got %d entries, want 8", len(c.entries))
	}
	c.put("a", 1, now)
	for _, tt := range []struct {
		at time.Duration
		ok bool
	}{{0, true}, {time.Second - 1, true}, {time.Second, false}, {-time.Nanosecond, false}, {-time.Hour, false}} {
		if v, ok := c.get("a", now.Add(tt.at)); ok != tt.ok || ok && v != 1 {
			t.Errorf("after %v: got %d, %v, want %v", tt.at, v, ok, tt.ok)
		}
	}
	c.put("b", 2, now.Add(time.Minute))
	if len(c.entries) != 1 {
		t.Errorf("got %d entries, want only the fresh one", len(c.entries))
	}
	c.drop("b")
	c.put("c", 3, now)
	c.clear()
	if len(c.entries) != 0 {
		t.Errorf("got %d entries after clear", len(c.entries))
	}
}
