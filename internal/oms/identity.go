package oms

import "time"

// Role says what a user or an access key may do. The zero value may do nothing.
type Role string

// The roles, from strong to weak.
const (
	RoleAdmin  Role = "admin"  // everything a writer may, and the service's own administration
	RoleWriter Role = "writer" // every OMS action
	RoleReader Role = "reader" // actions that list or get
)

// Rank orders roles: the stronger has the greater number, an unknown role 0.
func (r Role) Rank() int {
	switch r {
	case RoleAdmin:
		return 3
	case RoleWriter:
		return 2
	case RoleReader:
		return 1
	}
	return 0
}

// Valid reports whether r is one of the roles.
func (r Role) Valid() bool { return r.Rank() > 0 }

// User is a person or program that can log in with a password or own access keys.
type User struct {
	ID           string // 32 lower-case hex digits
	Name         string // unique
	PasswordHash string // Argon2id PHC string; empty: no password is accepted
	Role         Role
	CreatedAt    time.Time
}

// Project is a tenant: tasks, groups and everything else belong to exactly one.
type Project struct {
	ID        string // 1 to 64 characters, 32 lower-case hex digits when generated
	Name      string // unique
	CreatedAt time.Time
}

// KeyStatus says whether an access key is accepted.
type KeyStatus string

// The states of an access key; any other is treated as revoked.
const (
	KeyActive  KeyStatus = "active"
	KeyRevoked KeyStatus = "revoked"
)

// AccessKey is an AK with its sealed SK. It acts for one user in one project.
type AccessKey struct {
	AK        string
	SealedSK  []byte // sealed with the AAD "access_key|" + AK; never the SK itself
	UserID    string
	ProjectID string
	Role      Role // an upper bound: the user's role counts when it is weaker
	Status    KeyStatus
	CreatedAt time.Time
	RevokedAt time.Time // zero while active
}

// Token is an issued token as it is stored.
type Token struct {
	Hash      [32]byte // SHA-256 of the text that the client holds
	UserID    string
	ProjectID string // the project that the token is scoped to
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Setup is what a first start stores. The user becomes a member of the project.
type Setup struct {
	User    User
	Project Project
	Key     AccessKey
}
