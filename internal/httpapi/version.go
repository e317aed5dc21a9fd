package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// readyTimeout bounds the question whether the service is ready.
const readyTimeout = 5 * time.Second

// versionV2 describes the one version of the API that is served.
func versionV2(r *http.Request) omsv2.APIVersion {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return omsv2.APIVersion{
		ID: "v2", Status: "CURRENT", Updated: "2026-01-01T00:00:00Z",
		Links: []omsv2.Link{{Href: scheme + "://" + r.Host + "/v2/", Rel: "self"}},
	}
}

func (s *service) listVersions(_ context.Context, c *call) (any, error) {
	return omsv2.ListAPIVersionsResponse{Versions: []omsv2.APIVersion{versionV2(c.r)}}, nil
}

func (s *service) showVersion(_ context.Context, c *call) (any, error) {
	if c.r.PathValue("version") != "v2" {
		return nil, &statusError{http.StatusNotFound, oms.Errorf(oms.NotFound, "OMS.1009", "The API version does not exist.")}
	}
	return versionV2(c.r), nil
}

// health answers whether the process lives, or with ready whether it can work.
func health(ready func(context.Context) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if ready != nil && ready(ctx) != nil {
			w.Header().Set("Retry-After", retryAfter)
			send(w, http.StatusServiceUnavailable, []byte(`{"status":"unavailable"}`))
			return
		}
		send(w, http.StatusOK, []byte(`{"status":"ok"}`))
	})
}
