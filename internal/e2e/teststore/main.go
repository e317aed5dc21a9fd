// Command teststore serves a generated bucket and a second one that holds all of its objects, or every second one, for
// tests that need a key space larger than a process under the race detector serves in reasonable time. It prints the
// URLs of both stores, answers each line of stdin with a line about what was done to them, and ends with stdin.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/bits"
	"os"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/testcloud"
)

// report is what a line of stdin is answered with.
type report struct {
	Differences []string `json:"differences"` // between the buckets, folder oms/ aside
	Sizes       int64    `json:"sizes"`       // of the source's objects together, in bytes
	Puts        int64    `json:"puts"`        // PutObject requests, those of folder oms/ among them
	Gets        int64    `json:"gets"`
}

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve() error {
	n := flag.Int64("n", 1_000_000, "objects")
	lists := flag.Bool("lists", false, "long names; a bucket lists with names.txt, which names all objects, and bad.txt, whose last line but one is malformed")
	half := flag.Bool("half", false, "sizes from 0 to 64 KiB, every second object at the destination; otherwise 4 KiB, all of them")
	ak := flag.String("ak", "", "access key")
	sk := flag.String("sk", "", "secret key, of the test only")
	from := flag.String("from", "us-east-1", "region of the source")
	to := flag.String("to", "us-east-1", "region of the destination")
	flag.Parse()

	shape := testcloud.Shape{Size: testcloud.FixedSize(4096), ModTime: time.Now().Add(-time.Hour)}
	if *half {
		shape.Size = manySmall
	}
	if *lists {
		shape.Prefix = "a folder name as long as such names are in practice/" + strings.Repeat("and longer ", 3) + "/"
	}
	space := testcloud.Directories(shape, (*n+999)/1000, 1000)
	there := testcloud.Present(space, time.Minute)
	if *half {
		there = testcloud.Every(there, 0, 2)
	}
	src, dst := store(*ak, *sk, *from), store(*ak, *sk, *to)
	source := src.Generated("source", space, testcloud.GeneratedOptions{})
	destination := dst.Generated("destination", there, testcloud.GeneratedOptions{})
	destination.ShareContent(source)
	if *lists {
		putLists(dst.CreateBucket("lists"), space)
	}

	srcURL, stop, err := src.Start(context.Background(), "")
	if err != nil {
		return err
	}
	defer stop()
	dstURL, stop, err := dst.Start(context.Background(), "")
	if err != nil {
		return err
	}
	defer stop()
	fmt.Println(srcURL, dstURL)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		r := report{
			Differences: testcloud.Compare(source, destination, testcloud.CompareOptions{Ignore: []string{"oms/"}}),
			Puts:        dst.Count(testcloud.PutObject), Gets: src.Count(testcloud.GetObject),
		}
		for i := range space.Len() {
			r.Sizes += space.Size(i)
		}
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
	}
	return lines.Err()
}

// putLists stores the lists of names. Blanks need no encoding.
func putLists(b *testcloud.Bucket, space testcloud.Space) {
	var good, bad []byte
	for i := range space.Len() {
		if i == space.Len()-2 {
			bad = append(append(bad, good...), "100%\n"...)
		}
		good = append(space.AppendKey(good, i), '\n')
	}
	bad = append(space.AppendKey(bad, space.Len()-1), '\n')
	b.Put("names.txt", good, testcloud.Attrs{ContentType: "text/plain"})
	b.Put("bad.txt", bad, testcloud.Attrs{ContentType: "text/plain"})
}

func store(ak, sk, region string) *testcloud.Cloud {
	return testcloud.New(testcloud.Options{AccessKey: ak, SecretKey: sk, Region: region, RecordLimit: -1})
}

// manySmall are sizes from 0 to 64 KiB, each power of two as often as the others: most objects are small, as in real
// buckets.
func manySmall(i int64) int64 {
	x := uint64(i) * 0x9e3779b97f4a7c15
	x ^= x >> 29
	hi, lo := bits.Mul64(x, 18)
	if hi == 17 {
		return 64 << 10
	}
	most := uint64(1) << hi
	size, _ := bits.Mul64(lo, most)
	return int64(size)
}
