package httpapi

import (
	"context"
	"maps"
	"net/http"
	"strings"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// Connections is the service behind the operations on connections; package engine implements it. Unknown connections and
// those of another project are oms.NotFound with OMS.1009.
type Connections interface {
	// KeepConnection stores a connection with its credentials, in the place of one of that name.
	KeepConnection(ctx context.Context, c oms.Connection, keys oms.Credentials) error
	// Connections returns those of the project in order of name.
	Connections(ctx context.Context, project string) ([]oms.Connection, error)
	// ResolveConnection returns one with its credentials.
	ResolveConnection(ctx context.Context, project, name string) (oms.Connection, oms.Credentials, error)
	// DeleteConnection removes one and destroys its credentials.
	DeleteConnection(ctx context.Context, project, name string) error
}

// maxConnectionName bounds the name of a connection, in characters.
const maxConnectionName = 64

// connectionRoutes returns the operations on connections.
func connectionRoutes() []route {
	const (
		connections = "/ext/v1/{project_id}/connections"
		connection  = connections + "/{connection}"
	)
	return []route{
		{http.MethodGet, connections, "ListConnections", may(auth.ExtensionGet), noBody, (*service).listConnections},
		{http.MethodPut, connection, "KeepConnection", may(auth.ExtensionUpdate), normalBody, (*service).keepConnection},
		{http.MethodGet, connection, "ShowConnection", may(auth.ExtensionGet), noBody, (*service).showConnection},
		{http.MethodDelete, connection, "DeleteConnection", may(auth.ExtensionUpdate), noBody, (*service).deleteConnection},
		{http.MethodPost, connection + "/check", "CheckConnection", may(auth.ExtensionUpdate), normalBody, (*service).checkConnection},
	}
}

// connectionName returns the name of the path.
func connectionName(c *call) (string, error) {
	name := c.r.PathValue("connection")
	c.object = "connection " + oms.Clean(name)
	if !plausibleConnection(name) {
		return "", oms.Errorf(oms.Invalid, "OMS.1003", "The name of a connection has 1 to %d letters, digits, \"-\", \"_\" and \".\".", maxConnectionName)
	}
	return name, nil
}

func plausibleConnection(name string) bool {
	wrong := func(c rune) bool { return !alphanumeric(c) && c != '-' && c != '.' && c != '_' }
	return name != "" && len(name) <= maxConnectionName && !strings.ContainsFunc(name, wrong)
}

func (s *service) listConnections(ctx context.Context, c *call) (any, error) {
	list, err := s.tasks.Connections(ctx, c.project)
	if err != nil {
		return nil, err
	}
	answer := omsv2.ListConnectionsResponse{Connections: make([]omsv2.Connection, 0, len(list))}
	for _, conn := range list {
		answer.Connections = append(answer.Connections, connectionView(conn))
	}
	return answer, nil
}

// connectionView shows a connection, of whose keys nothing.
func connectionView(c oms.Connection) omsv2.Connection {
	return omsv2.Connection{
		Name: c.Name, CloudType: string(c.CloudType), Region: c.Region, Description: c.Description,
		CreatedTime: c.CreatedAt.UnixMilli(), UpdatedTime: c.UpdatedAt.UnixMilli(),
	}
}

func (s *service) showConnection(ctx context.Context, c *call) (any, error) {
	name, err := connectionName(c)
	if err != nil {
		return nil, err
	}
	list, err := s.tasks.Connections(ctx, c.project)
	if err != nil {
		return nil, err
	}
	for _, conn := range list {
		if conn.Name == name {
			return connectionView(conn), nil
		}
	}
	return nil, oms.Errorf(oms.NotFound, "OMS.1009", "The connection does not exist.")
}

func (s *service) keepConnection(ctx context.Context, c *call) (any, error) {
	name, err := connectionName(c)
	if err != nil {
		return nil, err
	}
	f, err := decodeBody(c.body)
	if err != nil {
		return nil, err
	}
	conn := oms.Connection{ProjectID: c.project, Name: name, Region: f.line("region", maxRegion), Description: description(f)}
	f.require("cloud_type")
	conn.CloudType = choice(f, "cloud_type", "", sourceClouds()...)
	if conn.CloudType == oms.CloudURL {
		f.refuse("OMS.0057", "URLs have no keys to keep.")
	}
	keys, given := documents(f, "", conn.CloudType)
	if !given {
		keys = cloudCredentials(f, "", conn.CloudType)
	}
	if f.failed() {
		return nil, *f.err
	}
	return nil, s.tasks.KeepConnection(ctx, conn, keys)
}

func (s *service) deleteConnection(ctx context.Context, c *call) (any, error) {
	name, err := connectionName(c)
	if err != nil {
		return nil, err
	}
	return nil, s.tasks.DeleteConnection(ctx, c.project, name)
}

// checkConnection tries the keys of a connection: on a bucket, or by listing the buckets of the account.
func (s *service) checkConnection(ctx context.Context, c *call) (any, error) {
	name, err := connectionName(c)
	if err != nil {
		return nil, err
	}
	f, err := decodeBody(c.body)
	if err != nil {
		return nil, err
	}
	conn, keys, err := s.tasks.ResolveConnection(ctx, c.project, name)
	if err != nil {
		return nil, err
	}
	q := oms.BucketQuery{CloudType: conn.CloudType, Credentials: keys}
	if !f.has("bucket") {
		if f.failed() {
			return nil, *f.err
		}
		names, err := s.buckets.ListBuckets(ctx, q)
		return omsv2.CheckConnectionResponse{Buckets: int64(len(names))}, err
	}
	q.Bucket, q.AppID = bucket(f, "OMS.0057"), f.line("app_id", maxText)
	region := conn.Region
	if f.has("region") {
		region = f.word("region", maxRegion)
	}
	if f.failed() {
		return nil, *f.err
	}
	var ok bool
	if q.Endpoint, ok = s.endpoint(q.CloudType, region); !ok {
		return nil, oms.Errorf(oms.Invalid, "OMS.0079", "The region is not supported for the cloud type of the connection.")
	}
	_, err = s.buckets.HasPrefix(ctx, q, "")
	return omsv2.CheckConnectionResponse{Buckets: 1}, err
}

// connect puts the keys of the connections that src_node and dst_node name into them, and what else they leave out. The
// contract has no such member: only extensions do this.
func (s *service) connect(ctx context.Context, project string, f fields) error {
	for _, node := range []string{"src_node", "dst_node"} {
		if err := s.connectNode(ctx, project, f.object(node)); err != nil {
			return err
		}
	}
	return *f.err
}

func (s *service) connectNode(ctx context.Context, project string, node fields) error {
	if !node.has("connection") {
		return nil
	}
	name := node.text("connection", maxConnectionName)
	for _, member := range []string{"ak", "sk", "security_token", "connection_string", "json_auth_file"} {
		if node.has(member) {
			node.refuse("OMS.1003", "The field %s cannot be given together with a connection.", node.path+member)
		}
	}
	if !plausibleConnection(name) {
		node.refuse("OMS.1003", "The field %sconnection is not the name of a connection.", node.path)
	}
	if node.failed() {
		return *node.err
	}
	conn, keys, err := s.tasks.ResolveConnection(ctx, project, name)
	if err != nil {
		return err
	}
	if !node.has("cloud_type") {
		node.members["cloud_type"] = string(conn.CloudType)
	} else if node.text("cloud_type", maxText) != string(conn.CloudType) {
		node.refuse("OMS.1003", "The field %scloud_type is not that of the connection.", node.path)
	}
	if !node.has("region") && conn.Region != "" {
		node.members["region"] = conn.Region
	}
	secrets := map[string]any{}
	for member, value := range map[string]string{
		"ak": keys.AccessKey, "sk": keys.SecretKey.Reveal(), "security_token": keys.SecurityToken.Reveal(),
		"connection_string": keys.ConnectionString.Reveal(), "json_auth_file": keys.AuthFile.Reveal(),
	} {
		if value != "" {
			secrets[member] = value
		}
	}
	maps.Copy(node.members, secrets)
	return *node.err
}
