package auth

import (
	"context"
	"fmt"

	"github.com/openoms/openoms/internal/oms"
)

// Lengths of generated credentials.
const (
	lenAK       = 20
	lenSK       = 40
	lenPassword = 24
)

// KeyRequest asks for a new access key.
type KeyRequest struct {
	Project string // id or name
	User    string // name; empty means "admin"
	Role    Role   // empty means the user's
}

// CreateKey makes an access key for a user in a project. The SK is returned this once and only its sealed form
// is stored. NotFound when the user or the project does not exist, Invalid for an unknown role.
func (s *Service) CreateKey(ctx context.Context, req KeyRequest) (Credentials, error) {
	name := req.User
	if name == "" {
		name = adminName
	}
	user, err := s.store.UserByName(ctx, name)
	if err != nil {
		return Credentials{}, fmt.Errorf("look up user: %w", err)
	}
	project, err := s.FindProject(ctx, req.Project)
	if err != nil {
		return Credentials{}, err
	}
	role := req.Role
	if role == "" {
		role = user.Role
	}
	if !role.Valid() {
		return Credentials{}, oms.Errorf(oms.Invalid, "", "the roles are %s, %s and %s", RoleAdmin, RoleWriter, RoleReader)
	}
	c := Credentials{AK: randomText(lenAK, upperAlnum), SK: oms.NewSecret(randomText(lenSK, alnum))}
	key, err := s.sealedKey(c)
	if err != nil {
		return Credentials{}, err
	}
	key.UserID, key.ProjectID, key.Role = user.ID, project.ID, role
	if err := s.store.CreateAccessKey(ctx, key); err != nil {
		return Credentials{}, fmt.Errorf("store access key: %w", err)
	}
	return c, nil
}

// sealedKey returns an active key with the SK sealed, without owner and role.
func (s *Service) sealedKey(c Credentials) (AccessKey, error) {
	sealed, err := s.sealer.Seal([]byte(c.SK.Reveal()), sealLabel(c.AK))
	if err != nil {
		return AccessKey{}, fmt.Errorf("seal access key: %w", err)
	}
	return AccessKey{AK: c.AK, SealedSK: sealed, Status: KeyActive, CreatedAt: s.now().UTC()}, nil
}

// ListKeys returns all access keys without their secrets, revoked ones included, ordered by creation.
func (s *Service) ListKeys(ctx context.Context) ([]AccessKey, error) {
	keys, err := s.store.AccessKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list access keys: %w", err)
	}
	for i := range keys {
		keys[i].SealedSK = nil
	}
	return keys, nil
}

// RevokeKey ends an access key for good; 5 seconds later no process on the same store accepts it. NotFound
// when there is no such key; revoking twice is no error.
func (s *Service) RevokeKey(ctx context.Context, ak string) error {
	err := s.store.RevokeAccessKey(ctx, ak, s.now().UTC())
	s.keys.cache.drop(ak)
	if err != nil {
		return fmt.Errorf("revoke access key: %w", err)
	}
	return nil
}

// CreateUser makes a user. Conflict when the name is taken, Invalid for a bad name, password or role.
func (s *Service) CreateUser(ctx context.Context, name string, password oms.Secret, role Role) (User, error) {
	if !validIdentifier(name) || !role.Valid() {
		return User{}, oms.Errorf(oms.Invalid, "", "a user needs a name of letters, digits, - and _, and a role")
	}
	hash, err := s.newHash(ctx, password)
	if err != nil {
		return User{}, err
	}
	u := User{ID: newID(), Name: name, PasswordHash: hash, Role: role, CreatedAt: s.now().UTC()}
	if err := s.store.CreateUser(ctx, u); err != nil {
		return User{}, fmt.Errorf("store user: %w", err)
	}
	return u, nil
}

// SetPassword replaces a user's password and ends all of the user's tokens; 5 seconds later no process on the
// same store accepts them. NotFound when there is no such user, Invalid for a bad password.
func (s *Service) SetPassword(ctx context.Context, name string, password oms.Secret) error {
	user, err := s.store.UserByName(ctx, name)
	if err != nil {
		return fmt.Errorf("look up user: %w", err)
	}
	hash, err := s.newHash(ctx, password)
	if err != nil {
		return err
	}
	err = s.store.SetPasswordHash(ctx, user.ID, hash)
	s.tokens.clear()
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	return nil
}

func (s *Service) newHash(ctx context.Context, password oms.Secret) (string, error) {
	if err := checkPassword(password); err != nil {
		return "", err
	}
	return s.hasher.hash(ctx, password)
}

// CreateProject makes a project, a tenant of its own, with one user as its member. Conflict when the name is
// taken, NotFound when the user does not exist.
func (s *Service) CreateProject(ctx context.Context, name, userName string) (Project, error) {
	if !validIdentifier(name) {
		return Project{}, oms.Errorf(oms.Invalid, "", "a project's name has 1 to %d letters, digits, - and _", maxIdentifier)
	}
	user, err := s.store.UserByName(ctx, userName)
	if err != nil {
		return Project{}, fmt.Errorf("look up user: %w", err)
	}
	p := Project{ID: newID(), Name: name, CreatedAt: s.now().UTC()}
	if err := s.store.CreateProject(ctx, p); err != nil {
		return Project{}, fmt.Errorf("store project: %w", err)
	}
	if err := s.store.AddMember(ctx, p.ID, user.ID); err != nil {
		return Project{}, fmt.Errorf("add the project's member: %w", err)
	}
	return p, nil
}

// Projects returns all projects, ordered by creation.
func (s *Service) Projects(ctx context.Context) ([]Project, error) {
	projects, err := s.store.Projects(ctx)
	if err != nil {
		return nil, fmt.Errorf("list projects: %w", err)
	}
	return projects, nil
}

// FindProject returns the project with the id or, if there is none, with the name; NotFound otherwise.
func (s *Service) FindProject(ctx context.Context, idOrName string) (Project, error) {
	projects, err := s.Projects(ctx)
	if err != nil {
		return Project{}, err
	}
	for _, p := range projects {
		if p.ID == idOrName {
			return p, nil
		}
	}
	for _, p := range projects {
		if p.Name == idOrName {
			return p, nil
		}
	}
	return Project{}, &oms.Error{Op: "look up project", Key: idOrName, Kind: oms.NotFound}
}
