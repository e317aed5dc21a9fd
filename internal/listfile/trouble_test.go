package listfile_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/listfile"
	"github.com/openoms/openoms/internal/oms"
)

// TestTrouble holds what a task shows of a list file that cannot be used, and what is not the file's fault.
func TestTrouble(t *testing.T) {
	t.Parallel()
	_, badLine := listfile.Check(t.Context(), strings.NewReader("a\n%\n"), listfile.Names, nil)
	for _, tc := range []struct {
		err       error
		code, say string
	}{
		{badLine, "TRF.0016", `The list file "l.txt" cannot be used: line 2: its name has a %`},
		{listfile.CheckObject(listfile.Object{Key: "l"}), "TRF.0014", ".txt"},
		{&oms.Error{Kind: oms.NotFound, Code: "NoSuchKey"}, "TRF.0013", "does not exist"},
		{&oms.Error{Kind: oms.NoBucket}, "TRF.0013", "does not exist"},
		{&oms.Error{Kind: oms.Denied, Code: "AccessDenied"}, "TRF.0013", "keys"},
		{&oms.Error{Kind: oms.Changed}, "TRF.0013", "changed"},
		{&oms.Error{Kind: oms.Archived}, "TRF.0301", "archived"},
	} {
		err := listfile.Trouble("l.txt", tc.err)
		reason := oms.ReasonOf(oms.Destination, err)
		if reason.Code != tc.code || !strings.Contains(reason.Message, tc.say) || !errors.Is(err, oms.KindOf(tc.err)) {
			t.Errorf("%v: reason %+v, want %s with %q", tc.err, reason, tc.code, tc.say)
		}
	}
	for _, err := range []error{&oms.Error{Kind: oms.Transient}, context.Canceled, &oms.Error{Kind: oms.Invalid, Code: "InvalidURI"}} {
		if got := listfile.Trouble("l.txt", err); !errors.Is(got, err) || strings.HasPrefix(oms.CodeOf(got), "TRF.") {
			t.Errorf("%v became %v", err, got)
		}
	}
}
