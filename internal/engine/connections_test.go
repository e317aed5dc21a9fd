package engine_test

import (
	"bytes"
	"testing"

	"github.com/openoms/openoms/internal/oms"
)

// A connection opens with its own name and project only, is not stored in the clear, and tells which master key it needs
// (rule S4).
func TestConnections(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	e := l.make(l.options("one"))
	c := oms.Connection{ProjectID: project, Name: "lab", CloudType: oms.CloudAWS, Region: "us-east-1"}
	want := oms.Credentials{AccessKey: srcAK, SecretKey: oms.NewSecret(secret), AuthFile: oms.NewSecret("file")}
	if err := e.KeepConnection(t.Context(), c, want); err != nil {
		t.Fatal(err)
	}
	got, keys, err := e.ResolveConnection(t.Context(), project, "lab")
	if err != nil || keys != want || got.CloudType != c.CloudType || got.CreatedAt.IsZero() {
		t.Errorf("got %+v, %v", got, err)
	}
	_, sealed, err := l.db.Connection(t.Context(), project, "lab")
	if err != nil || bytes.Contains(sealed, []byte(secret)) || bytes.Contains(sealed, []byte(srcAK)) {
		t.Errorf("stored as %q, %v", sealed, err)
	}
	texts, err := l.db.SealedTexts(t.Context(), 10)
	if err != nil || len(texts) != 1 || !bytes.Equal(texts[0], sealed) {
		t.Errorf("%d sealed texts, %v", len(texts), err)
	}
	moved := c
	moved.Name = "other"
	if err := l.db.KeepConnection(t.Context(), moved, sealed); err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.ResolveConnection(t.Context(), project, "other"); err == nil {
		t.Error("a seal opens at another name")
	}
	if _, _, err := e.ResolveConnection(t.Context(), "elsewhere", "lab"); oms.CodeOf(err) != "OMS.1009" {
		t.Errorf("another project: %v", err)
	}
	if err := e.DeleteConnection(t.Context(), project, "lab"); err != nil {
		t.Fatal(err)
	}
	if err := e.DeleteConnection(t.Context(), project, "lab"); oms.CodeOf(err) != "OMS.1009" {
		t.Errorf("deleted twice: %v", err)
	}
}
