package httpapi

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"sync"
)

// openAPIFile describes the operations of routes. It is generated from the route table and the types of omsv2:
// go test ./internal/httpapi -run OpenAPI -update.
//
//go:embed openapi.json
var openAPIFile []byte

// openAPI serves the description of the API with the version of the program.
func openAPI(version string) http.Handler {
	body := sync.OnceValue(func() []byte { return describe(openAPIFile, version) })
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { send(w, http.StatusOK, body()) })
}

// describe returns the document with the version, and as it is when there is none.
func describe(document []byte, version string) []byte {
	var doc map[string]any
	if version == "" || json.Unmarshal(document, &doc) != nil {
		return document
	}
	info, ok := doc["info"].(map[string]any)
	if !ok {
		return document
	}
	info["version"] = version
	if changed, err := json.Marshal(doc); err == nil {
		return changed
	}
	return document
}
