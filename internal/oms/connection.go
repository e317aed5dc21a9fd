package oms

import "time"

// Connection is a named credential that a project keeps, so that tasks can be created without sending keys. Its secrets
// are apart, sealed.
type Connection struct {
	ProjectID   string
	Name        string // unique in the project
	CloudType   CloudType
	Region      string // of buckets for which none is named; may be empty
	Description string

	CreatedAt, UpdatedAt time.Time // filled by the store
}

// MaxConnections bounds the connections of a project.
const MaxConnections = 200
