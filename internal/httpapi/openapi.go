package httpapi

import (
	_ "embed"
	"encoding/json"
	"net/http"
)

// openAPIFile describes the operations of routes. It is generated from the route table and the types of omsv2:
// go test ./internal/httpapi -run OpenAPI -update.
//
//go:embed openapi.json
var openAPIFile []byte

// openAPI serves the description of the API with the version of the program.
func openAPI(version string) http.Handler {
	body := openAPIFile
	var doc map[string]any
	if err := json.Unmarshal(openAPIFile, &doc); err != nil {
		panic("httpapi: openapi.json: " + err.Error())
	}
	if info, ok := doc["info"].(map[string]any); ok && version != "" {
		info["version"] = version
		if changed, err := json.Marshal(doc); err == nil {
			body = changed
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { send(w, http.StatusOK, body) })
}
