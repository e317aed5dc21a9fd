package suite

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/openoms/openoms/bench/internal/result"
)

// Tool is a program with one way of using it.
type Tool struct {
	Name    string
	Class   result.Class
	Program string              // name of the executable
	Version []string            // arguments that make it print its version; none: it is built from the checkout
	Get     string              // how to get it
	Does    func(Scenario) bool // nil: everything
	Command func(Call) Command  // how it does a scenario
}

// Call is what a command line depends on.
type Call struct {
	Scenario
	Addresses
	Path string // of the executable
	Dir  string // a scratch folder of this run
	RAM  string // another one, in memory where the machine has such a file system
}

// Command is what is started.
type Command struct {
	Args []string // the first is the executable
	Env  []string // on top of the environment
}

const (
	accessKey = "ak"
	secretKey = "secretsecret"
)

// awsEnv are the keys as the AWS SDKs read them.
func awsEnv() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey, "AWS_REGION=us-east-1"}
}

// Tools returns all tools: ours, the bare copier in three ways, and the peers.
func Tools() []Tool {
	const juicefs = "a release from github.com/juicedata/juicefs"
	return []Tool{
		{Name: "oms", Class: result.Ours, Program: "oms", Version: []string{"version"}, Get: "make build", Command: oms},
		{Name: "limit-nethttp", Class: result.Copier, Program: "limit", Does: withoutFaults, Command: limit("-mode", "nethttp", "-gogc", "400")},
		{Name: "limit-raw", Class: result.Copier, Program: "limit", Does: copiesWithoutFaults, Command: limit("-mode", "raw", "-buf", "262144")},
		{Name: "limit-splice", Class: result.Copier, Program: "limit", Does: copiesWithoutFaults, Command: limit("-mode", "splice")},
		{
			Name: "rclone", Class: result.Peer, Program: "rclone", Version: []string{"version"},
			Get: "go install github.com/rclone/rclone@latest", Does: copies, Command: rclone,
		},
		{
			Name: "rclone-tuned", Class: result.Peer, Program: "rclone", Version: []string{"version"},
			Get: "go install github.com/rclone/rclone@latest", Command: rcloneTuned,
		},
		{
			Name: "rclone-dirs", Class: result.Peer, Program: "rclone", Version: []string{"version"},
			Get: "go install github.com/rclone/rclone@latest", Does: compares, Command: rcloneDirs,
		},
		{
			Name: "mc", Class: result.Peer, Program: "mc", Version: []string{"--version"},
			Get: "go install github.com/minio/mc@latest", Command: mc,
		},
		{Name: "juicefs", Class: result.Peer, Program: "juicefs", Version: []string{"--version"}, Get: juicefs, Command: juicefsSync},
		{
			Name: "s5cmd", Class: result.Peer, Program: "s5cmd", Version: []string{"version"},
			Get: "go install github.com/peak/s5cmd/v2@latest", Command: s5cmd,
		},
	}
}

// PickTools returns the tools with the names of a comma-separated list, in the order of the list; "" is all.
func PickTools(all []Tool, list string) ([]Tool, error) {
	if list == "" {
		return all, nil
	}
	var picked []Tool
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(all, func(t Tool) bool { return t.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no tool %q", name)
		}
		picked = append(picked, all[i])
	}
	return picked, nil
}

// Custom returns a peer of any kind. Words of the command line are separated by spaces; {src} and {dst} become the
// endpoints' URLs, {dir} a scratch folder and {n} the number of objects.
func Custom(name, line string) Tool {
	words := strings.Fields(line)
	program := ""
	if len(words) > 0 {
		program = words[0]
	}
	return Tool{Name: name, Class: result.Peer, Program: program, Get: "it was named by --custom", Command: func(c Call) Command {
		r := strings.NewReplacer("{src}", "http://"+c.Source, "{dst}", "http://"+c.Destination, "{dir}", c.Dir, "{n}", strconv.FormatInt(c.Objects, 10))
		args := []string{c.Path}
		for _, w := range words[1:] {
			args = append(args, r.Replace(w))
		}
		return Command{Args: args, Env: awsEnv()}
	}}
}

func copies(s Scenario) bool              { return !s.Compare }
func compares(s Scenario) bool            { return s.Compare }
func withoutFaults(s Scenario) bool       { return !s.Faults } // the bare copier does not retry
func copiesWithoutFaults(s Scenario) bool { return !s.Compare && !s.Faults }

// oms is one migration with a new checkpoint.
func oms(c Call) Command {
	args := []string{c.Path, "migrate", "--data-dir", c.Dir, "--no-progress"}
	if c.Slots > 0 {
		n := strconv.Itoa(c.Slots)
		args = append(args, "--concurrency", n, "--min-concurrency", n)
	}
	if c.Part > 0 {
		args = append(args, "--part-size", strconv.FormatInt(c.Part/mebibyte, 10)+"MiB")
	}
	return Command{Env: awsEnv(), Args: append(args,
		"s3://src/?region=us-east-1&endpoint=http://"+c.Source, "s3://dst/?region=us-east-1&endpoint=http://"+c.Destination)}
}

// limit is the bare copier.
func limit(flags ...string) func(Call) Command {
	return func(c Call) Command {
		workers := 64
		if c.Size >= mebibyte {
			workers = 16
		}
		if c.Slots > 0 {
			workers = c.Slots
		}
		args := slices.Concat([]string{c.Path, "-src", c.Source, "-dst", c.Destination}, flags, []string{"-workers", strconv.Itoa(workers)})
		if c.Part > 0 {
			args = append(args, "-part", strconv.FormatInt(c.Part, 10))
		}
		if c.Compare {
			args = append(args, "-compare", "-n", strconv.FormatInt(c.Objects, 10), "-list", strconv.Itoa(max(1, c.Ranges)))
		}
		return Command{Args: args}
	}
}

func rcloneEnv(a Addresses) []string {
	var env []string
	for side, address := range map[string]string{"SRC": a.Source, "DST": a.Destination} {
		for name, value := range map[string]string{
			"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": "http://" + address, "ACCESS_KEY_ID": accessKey, "SECRET_ACCESS_KEY": secretKey,
			"FORCE_PATH_STYLE": "true", "REGION": "us-east-1",
		} {
			env = append(env, "RCLONE_CONFIG_"+side+"_"+name+"="+value)
		}
	}
	return env
}

// rclone as people tune it.
func rclone(c Call) Command {
	transfers := strconv.Itoa(64)
	if c.Slots > 0 {
		transfers = strconv.Itoa(c.Slots)
	}
	return Command{Env: rcloneEnv(c.Addresses), Args: []string{
		c.Path, "copy", "src:src", "dst:dst", "--config", "/dev/null",
		"--transfers", transfers, "--checkers", "64", "--fast-list", "--stats", "0",
	}}
}

// rcloneTuned removes every request and check that can be turned off.
func rcloneTuned(c Call) Command {
	cmd := rclone(c)
	cmd.Args = append(cmd.Args, "--size-only", "--s3-disable-checksum", "--use-server-modtime", "--s3-no-check-bucket", "--retries", "3")
	if c.Size > gibibyte { // without HEAD its multi-thread copies fail: "sizes differ ... vs 0"
		cmd.Args = append(cmd.Args, "--s3-chunk-size", "32M", "--s3-upload-concurrency", "16",
			"--multi-thread-streams", "16", "--multi-thread-chunk-size", "32M")
	} else {
		cmd.Args = append(cmd.Args, "--s3-no-head", "--s3-no-head-object")
	}
	return cmd
}

// rcloneDirs lists directory by directory in parallel.
func rcloneDirs(c Call) Command {
	cmd := rcloneTuned(c)
	cmd.Args = slices.DeleteFunc(cmd.Args, func(arg string) bool { return arg == "--fast-list" })
	return cmd
}

func mc(c Call) Command {
	host := func(address string) string { return "http://" + accessKey + ":" + secretKey + "@" + address }
	return Command{
		Env:  []string{"MC_HOST_src=" + host(c.Source), "MC_HOST_dst=" + host(c.Destination)},
		Args: []string{c.Path, "--config-dir", c.Dir, "--quiet", "--disable-pager", "mirror", "--retry", "src/src", "dst/dst"},
	}
}

func juicefsSync(c Call) Command {
	place := func(address, bucket string) string {
		return "minio://" + accessKey + ":" + secretKey + "@" + address + "/" + bucket + "/"
	}
	threads := strconv.Itoa(64)
	if c.Slots > 0 {
		threads = strconv.Itoa(c.Slots)
	}
	return Command{Env: []string{"HOME=" + c.Dir}, Args: []string{
		c.Path, "sync", "--threads", threads, "--list-threads", "16", "--list-depth", "2", "--no-https",
		place(c.Source, "src"), place(c.Destination, "dst"),
	}}
}

// s5cmd knows one endpoint only: between two it goes through a folder, here in memory. Compared are two buckets of the
// destination.
func s5cmd(c Call) Command {
	env := append(awsEnv(), "S5CMD="+c.Path, "SRC=http://"+c.Source, "DST=http://"+c.Destination, "FOLDER="+c.RAM+"/")
	if c.Compare {
		return Command{Env: env, Args: []string{
			c.Path, "--endpoint-url", "http://" + c.Destination, "--numworkers", "64", "sync", "--size-only", "s3://src/*", "s3://dst/",
		}}
	}
	return Command{Env: env, Args: []string{"/bin/sh", "-c", `"$S5CMD" --log error --endpoint-url "$SRC" --numworkers 64 cp 's3://src/*' "$FOLDER" &&
"$S5CMD" --log error --endpoint-url "$DST" --numworkers 64 cp "$FOLDER" s3://dst/`}}
}
