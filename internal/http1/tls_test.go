package http1

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// clientTLS trusts the certificate of srv; nil for servers without one.
func clientTLS(srv *httptest.Server) *tls.Config {
	if srv.Certificate() == nil {
		return nil
	}
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
}

// TestTLS reads a large body, trusts no unknown certificate and gives up on a handshake that does not end.
func TestTLS(t *testing.T) {
	want := data(1 << 20)
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(want) })) // the client would tell
	defer srv.Close()
	srv.Config.ErrorLog = nil
	host := strings.TrimPrefix(srv.URL, "https://")
	c := newClient(t, Options{TLS: clientTLS(srv), Dial: counted(t, 1)})
	e, err := c.Endpoint("https", host)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, got, err := fetch(t.Context(), e, get())
		if err != nil {
			t.Fatal(err)
		}
		sameBytes(t, "body", got, want)
	}
	c.CloseIdleConnections()

	e, err = newClient(t, Options{}).Endpoint("https", host)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Do(t.Context(), get()); !isCertificate(err) {
		t.Errorf("unknown certificate: got %v", err)
	}

	silent := serve(t, func(c net.Conn, _ int) { _, _ = io.Copy(io.Discard, c) }) // until it is closed
	e, err = newClient(t, Options{HandshakeTimeout: 20 * time.Millisecond}).Endpoint("https", silent.addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Do(t.Context(), get()); err == nil {
		t.Error("a handshake that does not end has ended")
	}
}

func isCertificate(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}
