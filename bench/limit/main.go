// Command limit copies every object of one bucket to another with no features at all: unsigned requests, no retries,
// no checks. It shows the floor of CPU per object and per GiB that a Go program can reach, and which way of moving the
// bytes gets there.
//
//	-mode nethttp   net/http client, response body handed to the PUT as is
//	-mode raw       HTTP/1.1 of its own over a connection, one buffer for each worker
//	-mode splice    as raw, but bodies move from socket to socket inside the kernel
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, os.Stderr, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "limit:", err)
		os.Exit(1)
	}
}

// options are the parsed command line.
type options struct {
	mode       string // nethttp, raw or splice
	src, dst   string // addresses
	workers    int
	part       int64 // bytes
	buffer     int   // bytes
	transport  int   // bytes; 0: the default of net/http
	readFull   bool
	gcPercent  int
	compare    bool
	listings   int
	parser     string
	cpuProfile string
	objects    int64
}

// parse reads the command line; usage goes to stderr.
func parse(stderr io.Writer, args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("limit", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.mode, "mode", "raw", "nethttp, raw or splice")
	f.StringVar(&o.src, "src", "127.0.0.1:9101", "address of the source")
	f.StringVar(&o.dst, "dst", "127.0.0.1:9102", "address of the destination")
	f.IntVar(&o.workers, "workers", 64, "objects in flight")
	f.Int64Var(&o.part, "part", 64<<20, "part size of objects above it")
	f.IntVar(&o.buffer, "buf", 64<<10, "copy buffer of each worker")
	f.IntVar(&o.transport, "tbuf", 0, "net/http transport read and write buffer (0: default 4 KiB)")
	f.BoolVar(&o.readFull, "readfull", false, "nethttp: read small bodies whole before the PUT")
	f.IntVar(&o.gcPercent, "gogc", 100, "GC percent")
	f.BoolVar(&o.compare, "compare", false, "list both sides and compare only")
	f.IntVar(&o.listings, "list", 1, "parallel listings, by splitting the key range (nested layout only)")
	f.StringVar(&o.parser, "parse", "scan", "how pages are read: scan or xml")
	f.StringVar(&o.cpuProfile, "cpuprofile", "", "write a CPU profile to this file")
	f.Int64Var(&o.objects, "n", 0, "known number of objects, to split the key range for -list")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch o.mode {
	case "nethttp", "raw", "splice":
		return o, nil
	}
	return o, fmt.Errorf("-mode: want nethttp, raw or splice, not %q", o.mode)
}

// run does what the command line says and prints what it cost.
func run(ctx context.Context, stdout, stderr io.Writer, args []string) (err error) {
	opts, err := parse(stderr, args)
	if err != nil {
		return err
	}
	debug.SetGCPercent(opts.gcPercent)
	if opts.cpuProfile != "" {
		file, err := os.Create(opts.cpuProfile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(file); err != nil {
			return errors.Join(err, file.Close())
		}
		defer func() {
			pprof.StopCPUProfile()
			err = errors.Join(err, file.Close())
		}()
	}
	start := time.Now()
	c := newCopier(opts)
	work := c.copyAll
	if opts.compare {
		work = c.compareAll
	}
	if err := work(ctx); err != nil {
		return err
	}
	wall := time.Since(start)
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return err
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	user, system := time.Duration(usage.Utime.Nano()), time.Duration(usage.Stime.Nano())
	objects := c.objects.Load()
	_, err = fmt.Fprintf(stdout, "%s objects=%d bytes=%d differences=%d wall=%.3f cpu=%.3f (user %.3f sys %.3f) mallocs/obj=%.1f gcs=%d\n",
		opts.mode, objects, c.bytes.Load(), c.differences.Load(), wall.Seconds(), (user + system).Seconds(), user.Seconds(), system.Seconds(),
		float64(mem.Mallocs)/float64(max(1, objects)), mem.NumGC)
	return err
}
