// Command bench compares oms with a bare copier and with other copy tools, or shows how its cost grows. It runs every
// tool against servers that store nothing, one at a time, and writes a table, a picture and the raw figures.
//
//	bench [--tools LIST] [--scenarios LIST] [--reps N] [--out NAME]     compare
//	bench --growth [...]                                                show how cost grows
//	bench --report NAME.json [--doc PAGE]                               write table and picture again
package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/openoms/openoms/bench/internal/chart"
	"github.com/openoms/openoms/bench/internal/lab"
	"github.com/openoms/openoms/bench/internal/result"
	"github.com/openoms/openoms/bench/internal/suite"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, os.Args[1:], os.Getenv("BENCH_BIN"), time.Now()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the parsed command line.
type options struct {
	growth           bool
	tools, scenarios string
	reps             int
	scale            float64
	timeout          time.Duration
	out              string
	bin, peers       string
	commit           string
	report, doc      string
	custom           []suite.Tool
}

func parse(out io.Writer, args []string, peers string) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(out)
	f.BoolVar(&o.growth, "growth", false, "show how cost grows: scenarios keys, size, parts, slots, slots-latency")
	f.StringVar(&o.tools, "tools", "", "comma-separated `LIST` of tools (default all that the machine has; with --growth oms and the bare copier)")
	f.StringVar(&o.scenarios, "scenarios", "", "comma-separated `LIST` of scenarios (default all)")
	f.IntVar(&o.reps, "reps", 5, "repetitions; tools take turns within one")
	f.Float64Var(&o.scale, "scale", 1, "factor for the number of objects, for a quick try")
	f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "limit of one run")
	f.StringVar(&o.out, "out", "", "write `NAME`.json, NAME.md and NAME.svg (default results/ and the date)")
	f.StringVar(&o.bin, "bin", "../bin", "`FOLDER` with oms, and in its folder bench nulls3 and limit")
	f.StringVar(&o.peers, "peers", peers, "`FOLDER` where other tools are looked for before PATH (default $BENCH_BIN)")
	f.StringVar(&o.commit, "commit", "unknown", "what oms was built from, for the page")
	f.StringVar(&o.report, "report", "", "measure nothing; write table and picture of this `FILE` again")
	f.StringVar(&o.doc, "doc", "", "with --report: put the table into this `PAGE` as well")
	f.Func("custom", "measure one more tool: `NAME=COMMAND` with {src}, {dst}, {dir} and {n}", func(v string) error {
		name, line, _ := strings.Cut(v, "=")
		if name == "" || strings.TrimSpace(line) == "" {
			return errors.New("want NAME=COMMAND")
		}
		o.custom = append(o.custom, suite.Custom(name, line))
		return nil
	})
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.reps < 1, o.scale <= 0, o.timeout <= 0:
		return o, errors.New("--reps, --scale and --timeout must be positive")
	case o.doc != "" && o.report == "":
		return o, errors.New("--doc goes with --report")
	}
	return o, nil
}

func run(ctx context.Context, out io.Writer, args []string, peers string, now time.Time) error {
	opts, err := parse(out, args, peers)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if opts.report != "" {
		f, err := result.Load(opts.report)
		if err != nil {
			return err
		}
		return write(f, strings.TrimSuffix(opts.report, ".json"), opts.doc)
	}
	return measure(ctx, out, opts, now)
}

// measure runs everything and writes the results, also those of a measurement that was cut off.
func measure(ctx context.Context, out io.Writer, opts options, now time.Time) error {
	all := suite.Scenarios(opts.scale)
	name := now.Format(time.DateOnly)
	if opts.growth {
		all, name = suite.Growth(opts.scale), name+"-growth"
		if opts.tools == "" {
			opts.tools = "oms,limit-nethttp,limit-raw"
		}
	}
	scenarios, err := suite.Pick(all, opts.scenarios)
	if err != nil {
		return err
	}
	tools, err := suite.PickTools(append(suite.Tools(), opts.custom...), opts.tools)
	if err != nil {
		return err
	}
	if opts.out == "" {
		if opts.out, err = result.FreeName(filepath.Join("results", name)); err != nil {
			return err
		}
	}
	host, err := lab.NewHost()
	if err != nil {
		return err
	}
	if err := lab.CheckPorts(ctx, suite.Standard()); err != nil {
		return err
	}
	f := &result.File{Started: now.UTC(), Commit: opts.commit}
	if f.Machine, err = host.Describe(); err != nil {
		return err
	}
	s := &session{
		opts: opts, out: out, file: f, paths: map[string]string{},
		lab: &lab.Lab{
			Server: filepath.Join(opts.bin, "bench", "nulls3"), Timeout: opts.timeout, Host: host, Addresses: suite.Standard(),
			Client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		},
	}
	if tools, err = s.find(ctx, tools); err != nil {
		return err
	}
	runErr := s.runAll(ctx, tools, scenarios)
	if len(f.Runs) == 0 {
		return runErr
	}
	if err := errors.Join(runErr, write(f, opts.out, "")); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s\nwritten: %s.md, .svg and .json\n", f.Tables(), opts.out)
	return nil
}

// session is one measurement.
type session struct {
	opts  options
	out   io.Writer
	file  *result.File
	lab   *lab.Lab
	paths map[string]string // of programs
}

// find looks for the programs, says which are missing and how to get them, and returns the tools that can be measured.
// Without oms, the servers or the copier there is nothing to do.
func (s *session) find(ctx context.Context, tools []suite.Tool) ([]suite.Tool, error) {
	if _, err := exec.LookPath(s.lab.Server); err != nil {
		return nil, fmt.Errorf("servers (make bench builds them): %w", err)
	}
	var found []suite.Tool
	for _, t := range tools {
		path, version, err := s.lookup(ctx, t)
		if err != nil && t.Class != result.Peer {
			return nil, fmt.Errorf("%s (make bench builds it): %w", t.Program, err)
		}
		if err != nil {
			fmt.Fprintf(s.out, "left out: %s: no %s in $BENCH_BIN or PATH that works (%v); to get it: %s\n", t.Name, t.Program, err, t.Get)
			s.file.Absent = append(s.file.Absent, t.Name)
			continue
		}
		s.paths[t.Program] = path
		s.file.Tools = append(s.file.Tools, result.Tool{Name: t.Name, Class: t.Class, Version: version})
		found = append(found, t)
	}
	return found, nil
}

// lookup returns the absolute path of a tool's program, and its version. Ours are never taken from elsewhere.
func (s *session) lookup(ctx context.Context, t suite.Tool) (path, version string, err error) {
	folders := []string{s.opts.peers, ""}
	switch t.Class {
	case result.Ours:
		folders = []string{s.opts.bin}
	case result.Copier:
		folders = []string{filepath.Join(s.opts.bin, "bench")}
	case result.Peer:
	}
	for _, folder := range folders {
		if path, err = exec.LookPath(filepath.Join(folder, t.Program)); err == nil {
			break
		}
	}
	if err != nil {
		return "", "", err
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", "", err
	}
	switch {
	case len(t.Version) > 0:
		version, err = lab.Version(ctx, path, t.Version)
		if info, infoErr := buildinfo.ReadFile(path); infoErr == nil && strings.HasPrefix(info.Main.Version, "v") {
			version += ", module " + info.Main.Version
		}
	case t.Class == result.Peer:
		version = path
	default:
		version = "of this checkout"
	}
	return path, version, err
}

// runAll makes the runs. The tools take turns within a repetition, and who begins changes from one to the next, so that
// what the machine does meanwhile meets all of them.
func (s *session) runAll(ctx context.Context, tools []suite.Tool, scenarios []suite.Scenario) error {
	for rep := range s.opts.reps {
		for _, scenario := range scenarios {
			for i := range tools {
				tool := tools[(i+rep)%len(tools)]
				if tool.Does != nil && !tool.Does(scenario) {
					continue
				}
				r, err := s.lab.Run(ctx, tool, s.paths[tool.Program], scenario)
				if err != nil {
					return fmt.Errorf("%s in %s: %w", tool.Name, scenario.Name, err)
				}
				s.file.Runs = append(s.file.Runs, r)
				s.say(rep, r)
				if err := s.file.Save(s.opts.out + ".json"); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// say prints a line for a run.
func (s *session) say(rep int, r result.Run) {
	point := ""
	if r.X != 0 {
		point = fmt.Sprintf(" %g", r.X)
	}
	fmt.Fprintf(s.out, "%d %-14s %-14s CPU %8.2f s  wall %8.2f s  %5d MiB  %.3f requests/object  server CPU %6.2f s  load %.1f\n",
		rep+1, r.Scenario+point, r.Tool, r.CPU(), r.Wall, r.Memory>>20, float64(r.Requests)/float64(r.Objects), r.ServerCPU, r.Load)
	if !r.Good() {
		fmt.Fprintf(s.out, "  exit %d, time limit %t, %d of %d objects correct: %s\n", r.Exit, r.TimedOut, r.Correct, r.Objects, strings.TrimSpace(r.Output))
	}
}

// write writes table and picture, and puts them into a page if one is named.
func write(f *result.File, name, page string) error {
	picture, section := chart.Bars(f), "bench"
	if len(f.Runs) > 0 && f.Runs[0].X != 0 {
		picture, section = chart.Curves(f), "growth"
	}
	if err := result.Replace(name+".svg", []byte(picture)); err != nil {
		return err
	}
	if err := result.Replace(name+".md", []byte(f.Markdown(filepath.Base(name)+".svg"))); err != nil {
		return err
	}
	if page == "" {
		return nil
	}
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	address, err := filepath.Rel(filepath.Dir(page), name+".svg")
	if err != nil {
		return err
	}
	body := fmt.Sprintf("\n%s\n![CPU and wall time](%s)\n%s\n", f.Preamble(), address, f.Tables())
	spliced, err := result.Splice(string(text), section, body)
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return result.Replace(page, []byte(spliced))
}
