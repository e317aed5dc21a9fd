package testcloud_test

import (
	"fmt"

	"github.com/openoms/openoms/internal/testcloud"
)

func Example() {
	cloud := testcloud.New(testcloud.Options{AccessKey: "ak", SecretKey: "sk", Profile: testcloud.Plain()})
	src := cloud.Generated("src", testcloud.Numbers(1000, testcloud.Shape{Size: testcloud.FixedSize(10)}), testcloud.GeneratedOptions{})
	dst := cloud.CreateBucket("dst")
	// the second upload of every key ending in 7 is refused as if the store were busy
	cloud.Faults.Add(testcloud.Rule{
		Ops:   []testcloud.Op{testcloud.PutObject},
		Key:   func(key string) bool { return key[len(key)-1] == '7' },
		Skip:  1,
		Fault: testcloud.SlowDown().WithRetryAfter("1"),
	})
	for o := range src.All() {
		if o.Key != "500" {
			dst.Put(o.Key, o.Bytes(), o.Attrs)
		}
	}
	fmt.Println(testcloud.Compare(src, dst, testcloud.CompareOptions{}))
	// Output: ["500": missing at the destination]
}
