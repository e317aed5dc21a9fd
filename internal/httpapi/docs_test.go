package httpapi

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/region"
)

// Every operation on clouds and buckets has an example in docs/api.md that works as it stands there.
func TestDocumentedExamples(t *testing.T) {
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	table, err := region.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)^.*?```sh\ncurl (-X (\\w+) )?-H \"X-Auth-Token: \\$TOKEN\" \"\\$OMS([^\"]+)\"(?: -d '\n(.*?)')?\n```")
	for _, rt := range bucketRoutes() {
		t.Run(rt.name, func(t *testing.T) {
			_, section, found := strings.Cut(string(text), "\n### "+rt.name+"\n")
			section, _, _ = strings.Cut(section, "\n### ")
			m := example.FindStringSubmatch(section)
			if !found || m == nil {
				t.Fatal("no example")
			}
			method, path, body := m[2], strings.ReplaceAll(m[3], "$PROJECT", project), m[4]
			switch {
			case method != "":
			case body != "":
				method = http.MethodPost // as curl does
			default:
				method = http.MethodGet
			}
			if plain, _, _ := strings.Cut(path, "?"); method != rt.method || plain != pathOf(rt, project, "") {
				t.Fatalf("the example calls %s %s", method, path)
			}
			f := &fakeBuckets{names: []string{"photos"}}
			h := newHarness(newFakeTasks(), func(o *Options) { o.Buckets, o.Regions = f, table })
			w := h.do(method, path, body)
			if checkAnswer(t, w); w.Code != http.StatusOK || body != "" && f.asked == "" {
				t.Errorf("the example gives %d %s", w.Code, w.Body)
			}
		})
	}
}
