package server

import (
	"net/http"
	"time"

	"github.com/openoms/openoms/internal/egress"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storage/azblob"
	"github.com/openoms/openoms/internal/storage/cdn"
	"github.com/openoms/openoms/internal/storage/gcs"
	"github.com/openoms/openoms/internal/storage/s3"
)

// connections are the ways to the stores, all through the guard of outgoing connections.
type connections struct {
	s3    *s3.Transport
	azure *azblob.Transport
	web   *http.Transport // to the servers that URL lists name, and for tokens
}

// newConnections returns connections for so many requests in flight to a store.
func newConnections(network *egress.Guard, requests int) *connections {
	idle := 2*requests + spareConnections
	return &connections{
		s3:    s3.NewTransport(s3.TransportOptions{Dial: network.DialContext, IdlePerHost: idle}),
		azure: azblob.NewTransport(azblob.TransportOptions{Dial: network.DialContext, IdlePerHost: idle}),
		web:   network.Transport(egress.TransportOptions{MaxIdleConns: requests}),
	}
}

// opener opens the buckets of all clouds, behind CDN hosts as well.
func (c *connections) opener(clock func() time.Time, agent string) storage.Opener {
	family := func(t http.RoundTripper) storage.Opener {
		return s3.NewOpener(s3.Options{Transport: t, Clock: clock, UserAgent: agent})
	}
	var buckets storage.Opener = azblob.NewOpener(family(c.s3), azblob.Options{Transport: c.azure, Clock: clock, UserAgent: agent})
	buckets = gcs.NewOpener(buckets, gcs.Options{S3: family, Transport: c.s3, Tokens: c.web, Clock: clock})
	return cdn.NewOpener(buckets, cdn.Options{Transport: c.s3, Clock: clock, UserAgent: agent})
}

// closeIdle closes the connections that nobody uses.
func (c *connections) closeIdle() {
	c.s3.CloseIdleConnections()
	c.azure.CloseIdleConnections()
	c.web.CloseIdleConnections()
}
