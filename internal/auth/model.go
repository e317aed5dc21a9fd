package auth

import "github.com/openoms/openoms/internal/oms"

// Domain is an IAM account. A service has exactly one.
type Domain struct {
	ID   string
	Name string
}

// TheDomain returns the only domain of every service. Its id is fixed, so that nothing needs to be stored.
func TheDomain() Domain {
	return Domain{ID: "6f70656e6f6d73000000000000000001", Name: "openoms"}
}

// The rows of the identity store; package oms describes them.
type (
	// Role says what a user or an access key may do.
	Role = oms.Role
	// User can log in with a password or own access keys.
	User = oms.User
	// Project is a tenant.
	Project = oms.Project
	// KeyStatus says whether an access key is accepted.
	KeyStatus = oms.KeyStatus
	// AccessKey is an AK with its sealed SK.
	AccessKey = oms.AccessKey
	// Token is an issued token as it is stored.
	Token = oms.Token
	// Setup is what a first start stores.
	Setup = oms.Setup
)

// The roles, from strong to weak.
const (
	RoleAdmin  = oms.RoleAdmin
	RoleWriter = oms.RoleWriter
	RoleReader = oms.RoleReader
)

// The states of an access key.
const (
	KeyActive  = oms.KeyActive
	KeyRevoked = oms.KeyRevoked
)

// weaker returns the role that allows less.
func weaker(a, b Role) Role {
	if a.Rank() < b.Rank() {
		return a
	}
	return b
}

// CredentialKind says how a caller proved itself.
type CredentialKind uint8

// The kinds of credential.
const (
	NoCredential CredentialKind = iota // a public route; the caller is unknown
	AccessKeyCredential
	TokenCredential
)

// Identity is who sent a request, as its credential says. The zero value is nobody and has no rights.
type Identity struct {
	Domain     Domain
	UserID     string
	UserName   string
	ProjectID  string // the tenant
	Role       Role   // the weaker of the user's and the credential's
	Credential CredentialKind
	AccessKey  string // AK when Credential is AccessKeyCredential
}

// Credentials are a new access key. The SK is shown this one time only.
type Credentials struct {
	AK string
	SK oms.Secret
}
