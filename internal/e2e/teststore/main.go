// Command teststore serves a generated bucket and an identical copy of it, for tests that need a key space larger
// than a process under the race detector serves in reasonable time. It prints its URL and runs until stdin ends.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/openoms/openoms/internal/testcloud"
)

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve() error {
	n := flag.Int64("n", 1_000_000, "objects")
	ak := flag.String("ak", "", "access key")
	sk := flag.String("sk", "", "secret key, of the test only")
	region := flag.String("region", "us-east-1", "region")
	flag.Parse()
	cloud := testcloud.New(testcloud.Options{AccessKey: *ak, SecretKey: *sk, Region: *region})
	shape := testcloud.Shape{Size: testcloud.FixedSize(4096), ModTime: time.Now().Add(-time.Hour)}
	space := testcloud.Directories(shape, (*n+999)/1000, 1000)
	cloud.Generated("source", space, testcloud.GeneratedOptions{})
	cloud.Generated("destination", testcloud.Present(space, time.Minute), testcloud.GeneratedOptions{})
	url, stop, err := cloud.Start(context.Background(), "")
	if err != nil {
		return err
	}
	defer stop()
	fmt.Println(url)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
