package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// tokenPrefix makes tokens recognisable to secret scanners.
const tokenPrefix = "omstk_"

// tokenEntry is a token that was found good.
type tokenEntry struct {
	id      Identity
	expires time.Time
}

// Login is an attempt to get a token for a password.
type Login struct {
	UserName string
	UserID   string // instead of UserName; used when that is empty
	Password oms.Secret
	Domain   string     // name or id; empty means the only one
	Scope    TokenScope // the zero value is the user's only project
	Source   string     // remote address "ip:port", for limiting failed attempts
}

// TokenScope names the project that a token is for, by id or else by name.
type TokenScope struct {
	ProjectID   string
	ProjectName string
}

// Session is what a token stands for.
type Session struct {
	Identity  Identity
	Project   Project // under the name that was asked for
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Login verifies a password and issues a token of 256 random bits that is good for 24 hours. A new token is
// issued each time. Errors are *oms.Error: Denied with CodeUnauthenticated, the same for an unknown user and a
// wrong password; Throttled after too many failures; Invalid when the user has several projects and the scope
// names none.
func (s *Service) Login(ctx context.Context, in Login) (oms.Secret, Session, error) {
	now := s.now().UTC()
	user, err := s.checkLogin(ctx, in, now)
	if err != nil {
		return oms.Secret{}, Session{}, err
	}
	projects, err := s.store.ProjectsOfUser(ctx, user.ID)
	if err != nil {
		return oms.Secret{}, Session{}, fmt.Errorf("list projects: %w", err)
	}
	project, err := resolveScope(projects, in.Scope)
	if err != nil {
		return oms.Secret{}, Session{}, err
	}
	var random [32]byte
	_, _ = rand.Read(random[:])
	text := tokenPrefix + base64.RawURLEncoding.EncodeToString(random[:])
	t := Token{
		Hash: sha256.Sum256([]byte(text)), UserID: user.ID, ProjectID: project.ID,
		IssuedAt: now, ExpiresAt: now.Add(tokenLife),
	}
	if err := s.store.SaveToken(ctx, t); err != nil {
		return oms.Secret{}, Session{}, fmt.Errorf("save token: %w", err)
	}
	return oms.NewSecret(text), Session{
		Identity: tokenIdentity(user, t), Project: project, IssuedAt: t.IssuedAt, ExpiresAt: t.ExpiresAt,
	}, nil
}

// checkLogin returns the user whose password was given.
func (s *Service) checkLogin(ctx context.Context, in Login, now time.Time) (User, error) {
	name, domain := in.UserName, TheDomain()
	if name == "" {
		name = in.UserID
	}
	if len(name) > maxIdentifier || len(in.Password.Reveal()) > maxPassword {
		return User{}, refuse(reasonPassword)
	}
	source := sourceOf(in.Source)
	if err := s.attempts.begin(name, source, now); err != nil {
		return User{}, err
	}
	var (
		user User
		err  error
	)
	if in.UserName != "" {
		user, err = s.store.UserByName(ctx, in.UserName)
	} else {
		user, err = s.store.User(ctx, in.UserID)
	}
	if errors.Is(err, oms.NotFound) {
		user = User{} // has no hash: verifying costs the same and matches nothing
	} else if err != nil {
		return User{}, fmt.Errorf("look up user: %w", err)
	}
	match, err := s.hasher.verify(ctx, user.PasswordHash, in.Password)
	if err != nil {
		return User{}, err
	}
	if !match || in.Domain != "" && in.Domain != domain.Name && in.Domain != domain.ID {
		return User{}, refuse(reasonPassword)
	}
	s.attempts.succeeded(name, source, now)
	return user, nil
}

const reasonPassword = "the user name or password is wrong"

// resolveScope picks the project of a token. A name that no project has stands for the only project there
// is, because clients of OMS use region ids as project names.
func resolveScope(projects []Project, scope TokenScope) (Project, error) {
	switch {
	case scope.ProjectID != "":
		for _, p := range projects {
			if p.ID == scope.ProjectID {
				return p, nil
			}
		}
	case scope.ProjectName != "":
		for _, p := range projects {
			if p.Name == scope.ProjectName {
				return p, nil
			}
		}
		if len(projects) == 1 && validIdentifier(scope.ProjectName) {
			p := projects[0]
			p.Name = scope.ProjectName
			return p, nil
		}
	case len(projects) == 1:
		return projects[0], nil
	case len(projects) > 1:
		return Project{}, oms.Errorf(oms.Invalid, codeInvalid, "The scope must name one of the user's projects.")
	}
	return Project{}, refuse("the user has no such project")
}

// VerifyToken returns whose token it is; Denied with CodeUnauthenticated for any that is unknown, expired or
// revoked. Its answers are remembered for 5 seconds.
func (s *Service) VerifyToken(ctx context.Context, token oms.Secret) (Identity, error) {
	hash, ok := tokenHash(token)
	if !ok {
		return Identity{}, refuse(reasonToken)
	}
	now := s.now()
	if e, ok := s.tokens.get(hash, now); ok && now.Before(e.expires) {
		return e.id, nil
	}
	t, user, err := s.findToken(ctx, hash)
	if err != nil {
		return Identity{}, err
	}
	id := tokenIdentity(user, t)
	s.tokens.put(hash, tokenEntry{id: id, expires: t.ExpiresAt}, now)
	return id, nil
}

// findToken reads a token that is good and its user from the store.
func (s *Service) findToken(ctx context.Context, hash [32]byte) (Token, User, error) {
	t, err := s.store.Token(ctx, hash)
	if errors.Is(err, oms.NotFound) || err == nil && !s.now().Before(t.ExpiresAt) {
		return Token{}, User{}, refuse(reasonToken)
	}
	if err != nil {
		return Token{}, User{}, fmt.Errorf("look up token: %w", err)
	}
	user, err := s.store.User(ctx, t.UserID)
	if errors.Is(err, oms.NotFound) {
		return Token{}, User{}, refuse(reasonToken)
	}
	if err != nil {
		return Token{}, User{}, fmt.Errorf("look up the token's user: %w", err)
	}
	return t, user, nil
}

// TokenSession returns what a token stands for, read from the store. Errors are those of VerifyToken.
func (s *Service) TokenSession(ctx context.Context, token oms.Secret) (Session, error) {
	hash, ok := tokenHash(token)
	if !ok {
		return Session{}, refuse(reasonToken)
	}
	t, user, err := s.findToken(ctx, hash)
	if err != nil {
		return Session{}, err
	}
	projects, err := s.store.ProjectsOfUser(ctx, user.ID)
	if err != nil {
		return Session{}, fmt.Errorf("list projects: %w", err)
	}
	project, err := resolveScope(projects, TokenScope{ProjectID: t.ProjectID})
	if err != nil {
		return Session{}, refuse(reasonToken)
	}
	return Session{
		Identity: tokenIdentity(user, t), Project: project, IssuedAt: t.IssuedAt, ExpiresAt: t.ExpiresAt,
	}, nil
}

// RevokeToken ends a token; 5 seconds later no process on the same store accepts it. A token that does not
// exist is no error.
func (s *Service) RevokeToken(ctx context.Context, token oms.Secret) error {
	hash, ok := tokenHash(token)
	if !ok {
		return nil
	}
	err := s.store.DeleteToken(ctx, hash)
	s.tokens.drop(hash)
	if err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	return nil
}

// tokenHash returns the hash under which a token is stored; false for a text that no token has.
func tokenHash(token oms.Secret) ([32]byte, bool) {
	text := token.Reveal()
	if len(text) != len(tokenPrefix)+base64.RawURLEncoding.EncodedLen(32) {
		return [32]byte{}, false
	}
	return sha256.Sum256([]byte(text)), true
}

func tokenIdentity(u User, t Token) Identity {
	return Identity{
		Domain: TheDomain(), UserID: u.ID, UserName: u.Name, ProjectID: t.ProjectID, Role: u.Role,
		Credential: TokenCredential,
	}
}
