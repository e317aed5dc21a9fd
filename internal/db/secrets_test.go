package db

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/seal"
)

// canary is a secret key that must not be found in any file.
const canary = "canary-SECRET-0123456789"

// files returns the bytes of all files in the directory.
func files(t *testing.T, dir string) (all []byte) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, content...)
	}
	return all
}

func newTestSealer(t *testing.T) *seal.Sealer {
	t.Helper()
	s, err := seal.New(bytes.Repeat([]byte{7}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sealedTask creates a task with a sealed canary and returns the sealed form.
func sealedTask(t *testing.T, db *DB, s *seal.Sealer) (id int64, sealed []byte) {
	t.Helper()
	task, err := db.CreateTask(t.Context(), waitingTask("p"), oms.Quota{}, func(int64) (fields map[string][]byte, err error) {
		sealed, err = s.Seal([]byte(canary), "p|src")
		return map[string][]byte{"src": sealed}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return task.ID, sealed
}

// TestSecretsAreDestroyed searches database, log and index for the plaintext at all times, and for the sealed form
// after the end of a run (rule S4).
func TestSecretsAreDestroyed(t *testing.T) {
	s := newTestSealer(t)
	ends := map[string]func(t *testing.T, db *DB, id int64) error{
		"wipe": func(t *testing.T, db *DB, id int64) error {
			t.Helper()
			_, err := db.ChangeTask(t.Context(), "p", id, func(task oms.Task) (oms.TaskChange, error) {
				return oms.TaskChange{Task: task, Wipe: true}, nil
			})
			return err
		},
		"wipe several": func(t *testing.T, db *DB, id int64) error {
			t.Helper()
			return db.ChangeTasks(t.Context(), "p", "", []int64{id}, func(task oms.Task) (oms.TaskChange, error) {
				return oms.TaskChange{Task: task, Wipe: true}, nil
			})
		},
		"replace": func(t *testing.T, db *DB, id int64) error {
			t.Helper()
			_, err := db.ChangeTask(t.Context(), "p", id, func(task oms.Task) (oms.TaskChange, error) {
				return oms.TaskChange{Task: task, Credentials: map[string][]byte{"src": []byte("another")}}, nil
			})
			return err
		},
		"delete": func(t *testing.T, db *DB, id int64) error {
			t.Helper()
			return db.DeleteTask(t.Context(), "p", id, func(oms.Task) error { return nil })
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			db := openDir(t, dir, nil)
			id, sealed := sealedTask(t, db, s)
			fields, err := db.Credentials(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			plain, err := s.Open(fields["src"], "p|src")
			if err != nil || string(plain) != canary {
				t.Fatalf("open: got %q, %v", plain, err)
			}
			before := files(t, dir)
			if !bytes.Contains(before, sealed[:64]) {
				t.Fatal("the search does not even find the sealed form")
			}
			if bytes.Contains(before, []byte(canary)) {
				t.Error("the plaintext is on disk")
			}
			if err := end(t, db, id); err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(files(t, dir), sealed[:64]) {
				t.Error("the sealed form is on disk after the end")
			}
		})
	}
}

// TestScrubLater wipes while a reader keeps the log from being emptied: the next heartbeat does it.
func TestScrubLater(t *testing.T) {
	dir := t.TempDir()
	db := openDir(t, dir, nil)
	id, sealed := sealedTask(t, db, newTestSealer(t))
	tx, err := db.reader.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM tasks").Scan(&n); err != nil {
		t.Fatal(err)
	}
	mustChange(t, db, id, func(c *oms.TaskChange) { c.Wipe = true })
	if !bytes.Contains(files(t, dir), sealed[:64]) {
		t.Fatal("the reader did not keep the log: the test proves nothing")
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := db.Heartbeat(t.Context(), "w", time.Minute); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(files(t, dir), sealed[:64]) {
		t.Error("the sealed form is on disk after the heartbeat")
	}
	var timeout string
	if err := db.writer.QueryRowContext(t.Context(), "PRAGMA busy_timeout").Scan(&timeout); err != nil || timeout != busyTimeout {
		t.Errorf("busy_timeout is %s, %v, want %s", timeout, err, busyTimeout)
	}
}

// TestRevokedKeyIsDestroyed searches for the sealed SK of a revoked key.
func TestRevokedKeyIsDestroyed(t *testing.T) {
	dir := t.TempDir()
	db := openDir(t, dir, nil)
	setup := testSetup("1", newClock().now())
	sealed, err := newTestSealer(t).Seal([]byte(canary), "access_key|AK1")
	if err != nil {
		t.Fatal(err)
	}
	setup.Key.SealedSK = sealed
	if _, err := db.Bootstrap(t.Context(), setup); err != nil {
		t.Fatal(err)
	}
	if err := db.RevokeAccessKey(t.Context(), "AK1", newClock().now()); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(files(t, dir), sealed[:64]) {
		t.Error("the sealed SK is on disk after revoking")
	}
}

// TestErrorsHideValues makes statements with secrets fail: the errors must not show them.
func TestErrorsHideValues(t *testing.T) {
	db := openDir(t, t.TempDir(), nil)
	setup := testSetup("1", newClock().now())
	setup.User.PasswordHash = canary
	setup.Key.SealedSK = []byte(canary)
	if _, err := db.Bootstrap(t.Context(), setup); err != nil {
		t.Fatal(err)
	}
	lost := oms.AccessKey{AK: "AK2", SealedSK: []byte(canary), UserID: canary, ProjectID: canary}
	for name, err := range map[string]error{
		"user":       db.CreateUser(t.Context(), setup.User),
		"access key": db.CreateAccessKey(t.Context(), setup.Key),
		"strange":    db.CreateAccessKey(t.Context(), lost),
		"token":      db.SaveToken(t.Context(), oms.Token{Hash: [32]byte([]byte(canary + "........")), UserID: canary}),
	} {
		if err == nil || bytes.Contains([]byte(err.Error()), []byte("canary")) {
			t.Errorf("%s: got %v, want an error without the value", name, err)
		}
	}
}
