package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/openoms/openoms/internal/testcloud"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"oms": func() { os.Exit(run()) }})
}

// The scripts run the binary. Each has two stores of its own: $SRC_URL with the bucket photos and $DST_URL with the
// bucket backup, both in region lab, with distinctive keys that must show up nowhere (see canary.txtar).
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setUp,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"compare":   cmdCompare,
			"loadenv":   cmdLoadenv,
			"nosecret":  cmdNosecret,
			"perm":      cmdPerm,
			"saveid":    cmdSaveid,
			"savesync":  cmdSavesync,
			"savegroup": cmdSavegroup,
			"hold":      cmdHold,
			"archive":   cmdArchive,
			"warm":      cmdWarm,
			"release":   cmdRelease,
			"revoke":    cmdRevoke,
			"newkey":    cmdNewkey,
			"status":    cmdStatus,
			"waitput":   cmdWaitput,
			"waitready": cmdWaitready,
			"get":       cmdGet,
		},
	})
}

// Secrets of the scripts; every one contains canaryMark.
const (
	canaryMark = "cAnArY"
	srcSK      = "src-sk-" + canaryMark + "-1f6e0c"
	dstSK      = "dst-sk-" + canaryMark + "-93ab77"
)

// world is what a script works on.
type world struct{ src, dst *testcloud.Cloud }

type worldKey struct{}

const objects = 400

func setUp(env *testscript.Env) error {
	w := &world{
		src: testcloud.New(testcloud.Options{AccessKey: "src-ak", SecretKey: srcSK, Region: "lab"}),
		dst: testcloud.New(testcloud.Options{AccessKey: "dst-ak", SecretKey: dstSK, Region: "lab", Profile: testcloud.OBS()}),
	}
	photos := w.src.CreateBucket("photos")
	random := rand.NewChaCha8([32]byte{1})
	for i := range objects {
		data := make([]byte, 100+i*7)
		_, _ = random.Read(data)
		photos.Put(fmt.Sprintf("2024/%02d/img-%04d.jpg", i%12, i), data, testcloud.Attrs{ContentType: "image/jpeg", Meta: map[string]string{"n": strconv.Itoa(i)}})
	}
	photos.Put("empty", nil, testcloud.Attrs{})
	photos.Put("a//b/../c d+%2F", []byte("awkward"), testcloud.Attrs{})
	large := make([]byte, 20<<20)
	_, _ = random.Read(large)
	photos.Put("large", large, testcloud.Attrs{})
	w.dst.CreateBucket("backup")
	for name, cloud := range map[string]*testcloud.Cloud{"SRC_URL": w.src, "DST_URL": w.dst} {
		url, stop, err := cloud.Start(context.Background(), "")
		if err != nil {
			return err
		}
		env.Defer(stop)
		env.Setenv(name, url)
	}
	addr, err := freeAddress()
	if err != nil {
		return err
	}
	env.Setenv("ADDR", addr)
	env.Setenv("OMS_ENDPOINT", "http://"+addr)
	env.Values[worldKey{}] = w
	env.Setenv("SRC", "s3://photos?region=lab&endpoint="+env.Getenv("SRC_URL"))
	env.Setenv("DST", "obs://backup?region=lab&endpoint="+env.Getenv("DST_URL"))
	for name, value := range map[string]string{
		"OMS_SRC_AK": "src-ak", "OMS_SRC_SK": srcSK, "OMS_DST_AK": "dst-ak", "OMS_DST_SK": dstSK, "DST_SK": dstSK,
		"XDG_STATE_HOME": filepath.Join(env.WorkDir, "state"), "HOME": env.WorkDir, "MARK": canaryMark,
	} {
		env.Setenv(name, value)
	}
	return os.WriteFile(filepath.Join(env.WorkDir, "lab.yaml"), []byte(fmt.Sprintf(
		"regions:\n- {cloud_type: AWS, region: lab, endpoint: %q, path_style: true}\n- {cloud_type: HEC, region: lab, endpoint: %q, path_style: true}\n",
		env.Getenv("SRC_URL"), env.Getenv("DST_URL"))), 0o600)
}

func worldOf(ts *testscript.TestScript) *world {
	w, ok := ts.Value(worldKey{}).(*world)
	if !ok {
		ts.Fatalf("the script has no world")
	}
	return w
}

// compare [PREFIX] checks that backup holds exactly what photos does, below PREFIX.
func cmdCompare(ts *testscript.TestScript, _ bool, args []string) {
	opts := testcloud.CompareOptions{Ignore: []string{"oms/"}, Extra: true}
	if len(args) > 0 {
		opts.Prefix = args[0]
	}
	w := worldOf(ts)
	diff := testcloud.Compare(w.src.Bucket("photos"), w.dst.Bucket("backup"), opts)
	if len(diff) > 0 {
		ts.Fatalf("differences: %s", strings.Join(diff, "\n"))
	}
}

// loadenv FILE sets the variables of KEY=VALUE lines.
func cmdLoadenv(ts *testscript.TestScript, _ bool, args []string) {
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
			ts.Setenv(key, value)
		}
	}
}

// nosecret fails when a file below the arguments, or a named output, contains the mark of the secrets.
func cmdNosecret(ts *testscript.TestScript, _ bool, args []string) {
	check := func(name string, data []byte) {
		if bytes.Contains(data, []byte(canaryMark)) {
			ts.Fatalf("%s contains a secret", name)
		}
	}
	for _, arg := range args {
		if arg == "stdout" || arg == "stderr" {
			check(arg, []byte(ts.ReadFile(arg)))
			continue
		}
		files := 0
		ts.Check(filepath.WalkDir(ts.MkAbs(arg), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || d.Name() == "bootstrap.env" {
				return err
			}
			data, err := os.ReadFile(path)
			check(path, data)
			files++
			return err
		}))
		if files == 0 {
			ts.Fatalf("%s holds no file", arg)
		}
	}
}

// perm MODE FILE checks permissions.
func cmdPerm(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s: mode %s, want %s", args[1], got, args[0])
	}
}

// saveid NAME sets the variable to the id of the newest task in the JSON on stdout.
func cmdSaveid(ts *testscript.TestScript, _ bool, args []string) {
	var task struct {
		ID int64 `json:"id"`
	}
	first, _, _ := strings.Cut(ts.ReadFile("stdout"), "\n")
	ts.Check(json.Unmarshal([]byte(first), &task))
	ts.Setenv(args[0], strconv.FormatInt(task.ID, 10))
}

// savegroup NAME sets the variable to the id of the newest group in the JSON on stdout.
func cmdSavegroup(ts *testscript.TestScript, _ bool, args []string) {
	var group struct {
		ID string `json:"group_id"`
	}
	first, _, _ := strings.Cut(ts.ReadFile("stdout"), "\n")
	ts.Check(json.Unmarshal([]byte(first), &group))
	ts.Setenv(args[0], group.ID)
}

// hold leaves every write of one object at the destination without an answer, so that no migration ends before
// release.
func cmdHold(ts *testscript.TestScript, _ bool, _ []string) {
	worldOf(ts).dst.Faults.Add(testcloud.Rule{
		Ops: []testcloud.Op{testcloud.PutObject}, Fault: testcloud.Stall(),
		Key: func(key string) bool { return strings.HasSuffix(key, "2024/07/img-0139.jpg") },
	})
}

// archive KEY puts an object into the source that cannot be read before it is restored.
func cmdArchive(ts *testscript.TestScript, _ bool, args []string) {
	worldOf(ts).src.Bucket("photos").Put(args[0], []byte("cold"), testcloud.Attrs{StorageClass: "GLACIER"})
}

// warm KEY makes such an object readable.
func cmdWarm(ts *testscript.TestScript, _ bool, args []string) {
	worldOf(ts).src.Bucket("photos").Put(args[0], []byte("warm"), testcloud.Attrs{})
}

// release ends hold for later writes.
func cmdRelease(ts *testscript.TestScript, _ bool, _ []string) { worldOf(ts).dst.Faults.Clear() }

// revoke SIDE makes the keys of src or dst invalid; newkey SIDE AK SK adds keys.
func cmdRevoke(ts *testscript.TestScript, _ bool, args []string) {
	sideOf(ts, args[0]).Revoke(args[0] + "-ak")
}

func cmdNewkey(ts *testscript.TestScript, _ bool, args []string) {
	sideOf(ts, args[0]).SetCredential(testcloud.Credential{AccessKey: args[1], SecretKey: args[2]})
}

func sideOf(ts *testscript.TestScript, side string) *testcloud.Cloud {
	if side == "src" {
		return worldOf(ts).src
	}
	return worldOf(ts).dst
}

// status N COMMAND... runs a command and checks its exit status, which ! alone does not tell.
func cmdStatus(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit status %d, want %s", code, args[0])
	}
}

// eventually polls until ok, for at most a minute.
func eventually(ts *testscript.TestScript, what string, ok func() bool) {
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("waited for %s in vain", what)
		}
	}
}

// waitput N waits until the destination has stored N objects.
func cmdWaitput(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	eventually(ts, args[0]+" objects", func() bool { return worldOf(ts).dst.Bucket("backup").Len() >= n })
}

// waitready ADDR waits until a service answers.
func cmdWaitready(ts *testscript.TestScript, _ bool, args []string) {
	eventually(ts, args[0], func() bool {
		code, _, err := fetch(args[0] + "/readyz")
		return err == nil && code == http.StatusOK
	})
}

// get STATUS URL prints the body of a GET.
func cmdGet(ts *testscript.TestScript, _ bool, args []string) {
	code, body, err := fetch(args[1])
	ts.Check(err)
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("status %d, want %s: %s", code, args[0], body)
	}
	ts.Check(os.WriteFile(ts.MkAbs("body"), body, 0o600))
}

// fetch gets a URL of this machine.
func fetch(url string) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// freeAddress returns a loopback address that nobody listens on.
func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}
