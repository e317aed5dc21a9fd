// Package s3 reads and writes the object stores that speak the S3 protocol: AWS, Huawei OBS and the S3 faces of
// Aliyun OSS, Tencent COS, Kingsoft KS3, Baidu BOS, Qiniu Kodo, QingStor, UCloud US3 and Google Cloud Storage,
// and the many servers that imitate AWS.
//
// It is a thin client over an http.RoundTripper that the caller hands in: one request per method (listings of
// parts, uploads and buckets page), no retries, no redirects, plain bodies with an exact Content-Length signed as
// UNSIGNED-PAYLOAD. What tells the stores apart is data (quirks.go). Keys are bytes: the path that is signed is
// the path that is sent, and nothing cleans it.
//
// Every answer is distrusted: bodies of XML are limited to 16 MiB and 32 levels, document types are refused, pages
// of a listing must be in order, a range must be the one asked for, and the body of an object must hold exactly as
// many bytes as announced.
package s3
