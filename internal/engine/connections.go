package engine

import (
	"context"

	"github.com/openoms/openoms/internal/oms"
)

// ConnectionStore keeps connections; package db implements it. Unknown and foreign ones are oms.NotFound with OMS.1009.
type ConnectionStore interface {
	// KeepConnection stores a connection with its sealed credentials, in the place of one of that name.
	KeepConnection(ctx context.Context, c oms.Connection, sealed []byte) error
	// Connections returns those of the project in order of name.
	Connections(ctx context.Context, project string) ([]oms.Connection, error)
	// Connection returns one with its sealed credentials.
	Connection(ctx context.Context, project, name string) (oms.Connection, []byte, error)
	// DeleteConnection removes one and destroys its credentials.
	DeleteConnection(ctx context.Context, project, name string) error
}

// ofConnection is the place of a connection's credentials.
func ofConnection(project, name string) place {
	return func(field string) string { return project + "|connection:" + name + "|" + field + "|v1" }
}

// KeepConnection stores a connection with its credentials, in the place of one of that name.
func (e *Engine) KeepConnection(ctx context.Context, c oms.Connection, keys oms.Credentials) error {
	sealed, err := sealAt(e.opts.Sealer, ofConnection(c.ProjectID, c.Name), oms.TaskCredentials{Src: keys})
	if err != nil {
		return err
	}
	if err := e.store.KeepConnection(ctx, c, sealed[fieldSrc]); err != nil {
		return err
	}
	e.log.InfoContext(ctx, "connection stored", "project_id", c.ProjectID, "name", c.Name)
	return nil
}

// Connections returns the connections of the project in order of name, without their credentials.
func (e *Engine) Connections(ctx context.Context, project string) ([]oms.Connection, error) {
	return e.store.Connections(ctx, project)
}

// ResolveConnection returns a connection with its credentials, which live as long as the request that needs them.
func (e *Engine) ResolveConnection(ctx context.Context, project, name string) (oms.Connection, oms.Credentials, error) {
	c, sealed, err := e.store.Connection(ctx, project, name)
	if err != nil {
		return oms.Connection{}, oms.Credentials{}, err
	}
	keys, err := unsealOne(e.opts.Sealer, ofConnection(project, name), fieldSrc, map[string][]byte{fieldSrc: sealed})
	return c, keys, err
}

// DeleteConnection removes a connection and destroys its credentials. Tasks that were created with it have their own.
func (e *Engine) DeleteConnection(ctx context.Context, project, name string) error {
	if err := e.store.DeleteConnection(ctx, project, name); err != nil {
		return err
	}
	e.log.InfoContext(ctx, "connection deleted", "project_id", project, "name", name)
	return nil
}
