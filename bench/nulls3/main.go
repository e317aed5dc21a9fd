// Command nulls3 is an S3-compatible server for measuring copy tools. It stores no data and serves synthetic objects,
// so that the server is not what limits the copy. One process serves two endpoints: the source (-src), whose bucket
// "src" is synthetic, and the destination (-dst), which remembers only size, checksum, ETag and metadata of what it is
// sent. The page beside this file has its flags and its limits.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, os.Stderr, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "nulls3:", err)
		os.Exit(1)
	}
}

// options are the parsed command line.
type options struct {
	src, dst     string // addresses
	objects, odd int64
	size, layout string
	full         bool
	list, get    time.Duration
	put          time.Duration
	errors       string
	bandwidth    string
	md5          string
	gcPercent    int
	quiet        bool
	pprof        string
	endpoint     endpointOptions
}

// parse reads the command line; usage goes to stderr.
func parse(stderr io.Writer, args []string) (*options, error) {
	var o options
	f := flag.NewFlagSet("nulls3", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.src, "src", "127.0.0.1:9101", "source endpoint address (empty: none)")
	f.StringVar(&o.dst, "dst", "127.0.0.1:9102", "destination endpoint address (empty: none)")
	f.Int64Var(&o.objects, "n", 20000, `objects in the source's bucket "src"`)
	f.StringVar(&o.size, "size", "4096", `object sizes: "4K" or a weighted mix "4K:90,1M:9,64M:1"`)
	f.StringVar(&o.layout, "layout", "flat", "key layout: flat, nested, date or skew")
	f.Int64Var(&o.odd, "odd", 0, "give every N-th key awkward characters (0: none)")
	f.BoolVar(&o.full, "dst-full", false, `the destination's bucket "dst" starts as an identical copy`)
	f.DurationVar(&o.list, "lat-list", 0, "latency added to each list request")
	f.DurationVar(&o.get, "lat-get", 0, "latency added to each get and head request")
	f.DurationVar(&o.put, "lat-put", 0, "latency added to each writing request")
	f.Float64Var(&o.endpoint.errorRate, "err", 0, "share of object and list requests that fail")
	f.StringVar(&o.errors, "err-kinds", "503,reset,trunc", "kinds of failure to draw from")
	f.StringVar(&o.bandwidth, "bw", "0", "bandwidth cap of each connection and direction, bytes a second (0: none)")
	f.StringVar(&o.md5, "md5", "auto", "ETag of PUTs: auto (the MD5 where known without computing it), always (computed and Content-MD5 verified)")
	f.BoolVar(&o.endpoint.keep, "keep", false, "keep the data of stored objects in memory (for small correctness tests)")
	f.IntVar(&o.gcPercent, "gogc", 800, "GC percent")
	f.BoolVar(&o.quiet, "quiet", false, "do not print the listening addresses")
	f.Int64Var(&o.endpoint.dump, "dump", 0, "print the first N request heads of each endpoint, to see what a client sends")
	f.StringVar(&o.pprof, "pprof", "", "serve pprof on this address")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	e := &o.endpoint
	e.dumpTo = stderr
	e.md5 = o.md5 == "always"
	e.errorKinds = strings.Split(o.errors, ",")
	e.latency[opList] = o.list
	e.latency[opGet], e.latency[opHead] = o.get, o.get
	for _, kind := range []op{opPut, opPart, opCopy, opCreate, opComplete, opDelete, opDeleteMany} {
		e.latency[kind] = o.put
	}
	var err error
	e.bandwidth, err = parseSize(o.bandwidth)
	return &o, err
}

// run serves until ctx ends. It prints one line when it listens.
func run(ctx context.Context, stdout, stderr io.Writer, args []string) (err error) {
	opts, err := parse(stderr, args)
	if err != nil {
		return err
	}
	sizes, err := parseSizes(opts.size)
	if err != nil {
		return err
	}
	debug.SetGCPercent(opts.gcPercent)
	debug.SetMemoryLimit(6 << 30)
	c := newContents()
	for _, class := range sizes { // before the clock of any measurement starts
		c.known(class.size)
	}
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	source := newSynth(c, opts.objects, opts.layout, sizes, opts.odd, begin)

	src := newEndpoint("src", source, opts.endpoint)
	src.buckets["src"] = newBucket(source)
	dst := newEndpoint("dst", source, opts.endpoint)
	dst.buckets["src"] = newBucket(source) // for tools that know one endpoint only
	var present *synth
	if opts.full {
		present = source.at(begin.AddDate(0, 1, 0))
	}
	dst.buckets["dst"] = newBucket(present)

	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	failed := make(chan error, 3)
	for _, e := range []struct {
		address string
		*endpoint
	}{{opts.src, src}, {opts.dst, dst}} {
		if e.address == "" {
			continue
		}
		ln, err := listen(ctx, e.address)
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { _ = ln.Close() })
		wg.Go(func() {
			if err := e.serve(ctx, ln); err != nil {
				failed <- err
			}
		})
	}
	if opts.pprof != "" {
		ln, err := listen(ctx, opts.pprof)
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { _ = ln.Close() })
		wg.Go(func() { serveProfiles(ln) })
	}
	if !opts.quiet {
		fmt.Fprintln(stdout, "nulls3 ready", opts.src, opts.dst)
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

func listen(ctx context.Context, address string) (*net.TCPListener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s is not a TCP address", address), ln.Close())
	}
	return tcp, nil
}

// serveProfiles answers for pprof until ln is closed.
func serveProfiles(ln net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	s := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	_ = s.Serve(ln) // ends with the listener
}
