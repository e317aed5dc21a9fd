package auth

import (
	"context"
	"time"
)

// Store keeps users, projects, access keys, tokens and used signatures. It is implemented by internal/db and
// must be safe for concurrent use. A method that returns nil has committed durably (rule P6). Errors are
// *oms.Error: NotFound when a named row does not exist, Conflict when a unique name or id is taken; context
// errors pass through. Instants are stored in UTC with at least microseconds.
type Store interface {
	// Bootstrap stores s in one transaction if the store has no user yet, and reports whether it did. Of
	// several processes that call it at once on one database, exactly one is told true.
	Bootstrap(ctx context.Context, s Setup) (created bool, err error)
	// HasUsers reports whether the store has at least one user.
	HasUsers(ctx context.Context) (bool, error)

	// User returns the user with the id.
	User(ctx context.Context, id string) (User, error)
	// UserByName returns the user with the name, compared byte by byte.
	UserByName(ctx context.Context, name string) (User, error)
	// CreateUser stores a new user.
	CreateUser(ctx context.Context, u User) error
	// SetPasswordHash replaces the user's hash and deletes all tokens of the user in the same transaction.
	SetPasswordHash(ctx context.Context, userID, hash string) error

	// Projects returns all projects, ordered by creation and then by id.
	Projects(ctx context.Context) ([]Project, error)
	// ProjectsOfUser returns the projects that the user is a member of, ordered in the same way.
	ProjectsOfUser(ctx context.Context, userID string) ([]Project, error)
	// CreateProject stores a new project.
	CreateProject(ctx context.Context, p Project) error
	// AddMember makes the user a member of the project; it does nothing when the user is one already.
	AddMember(ctx context.Context, projectID, userID string) error

	// AccessKey returns the key with the AK, revoked ones included.
	AccessKey(ctx context.Context, ak string) (AccessKey, error)
	// AccessKeys returns all keys, revoked ones included, ordered by creation and then by AK.
	AccessKeys(ctx context.Context) ([]AccessKey, error)
	// CreateAccessKey stores a new key and makes its user a member of its project, in one transaction.
	CreateAccessKey(ctx context.Context, k AccessKey) error
	// RevokeAccessKey sets the key's state to KeyRevoked and its RevokedAt to at, and overwrites the sealed SK
	// with nothing. A key that is revoked already stays as it is.
	RevokeAccessKey(ctx context.Context, ak string, at time.Time) error

	// SaveToken stores a new token.
	SaveToken(ctx context.Context, t Token) error
	// Token returns the token with the hash, expired ones included until they are purged.
	Token(ctx context.Context, hash [32]byte) (Token, error)
	// DeleteToken deletes the token with the hash; it does nothing when there is none.
	DeleteToken(ctx context.Context, hash [32]byte) error

	// UseSignature records digest until expires and reports true, or reports false when it is recorded
	// already. Of several calls with one digest at the same time, exactly one is told true.
	UseSignature(ctx context.Context, digest [32]byte, expires time.Time) (first bool, err error)

	// PurgeExpired deletes tokens and used signatures that expired before now, in batches that do not hold
	// other writers up.
	PurgeExpired(ctx context.Context, now time.Time) error
}

// Sealer encrypts secrets under the service's master key. It must be safe for concurrent use.
type Sealer interface {
	// Seal encrypts and authenticates plaintext; aad must be the same at Open.
	Seal(plaintext []byte, aad string) ([]byte, error)
	// Open returns the plaintext, or an error when sealed or aad is not what Seal was given or made.
	Open(sealed []byte, aad string) ([]byte, error)
}
