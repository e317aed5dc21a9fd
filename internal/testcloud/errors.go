package testcloud

import "net/http"

// apiError is an error answer of the protocol.
type apiError struct {
	status int
	code   string
	msg    string
}

func (e *apiError) Error() string { return e.code + ": " + e.msg }

// because returns the error with another message.
func (e *apiError) because(msg string) *apiError { return &apiError{e.status, e.code, msg} }

// The error answers, worded as AWS does. They are never changed.
var (
	errAccessDenied        = &apiError{http.StatusForbidden, "AccessDenied", "Access Denied"}
	errInvalidAccessKey    = &apiError{http.StatusForbidden, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."}
	errSignature           = &apiError{http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method."}
	errSkewed              = &apiError{http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."}
	errInvalidToken        = &apiError{http.StatusBadRequest, "InvalidToken", "The provided token is malformed or otherwise invalid."}
	errAuthMalformed       = &apiError{http.StatusBadRequest, "AuthorizationHeaderMalformed", "The authorization header is malformed."}
	errSHA256Mismatch      = &apiError{http.StatusBadRequest, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed."}
	errInvalidRequest      = &apiError{http.StatusBadRequest, "InvalidRequest", "The request is not valid."}
	errInvalidArgument     = &apiError{http.StatusBadRequest, "InvalidArgument", "Invalid Argument"}
	errInvalidURI          = &apiError{http.StatusBadRequest, "InvalidURI", "Couldn't parse the specified URI."}
	errKeyTooLong          = &apiError{http.StatusBadRequest, "KeyTooLongError", "Your key is too long"}
	errMetadataTooLarge    = &apiError{http.StatusBadRequest, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size"}
	errFileConflict        = &apiError{http.StatusConflict, "FileConflict", "A file and a directory cannot have the same name"}
	errInvalidFileName     = &apiError{http.StatusBadRequest, "InvalidFileName", "The name cannot be that of a file"}
	errInvalidEncryption   = &apiError{http.StatusBadRequest, "InvalidEncryptionAlgorithmError", "The encryption request you specified is not valid"}
	errInvalidStorageClass = &apiError{http.StatusBadRequest, "InvalidStorageClass", "The storage class you specified is not valid"}
	errMissingLength       = &apiError{http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header."}
	errIncompleteBody      = &apiError{http.StatusBadRequest, "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header"}
	errEntityTooLarge      = &apiError{http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"}
	errEntityTooSmall      = &apiError{http.StatusBadRequest, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size"}
	errInvalidDigest       = &apiError{http.StatusBadRequest, "InvalidDigest", "The Content-MD5 you specified was invalid."}
	errBadDigest           = &apiError{http.StatusBadRequest, "BadDigest", "The Content-MD5 you specified did not match what we received."}
	errMalformedXML        = &apiError{http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema"}
	errInvalidPart         = &apiError{http.StatusBadRequest, "InvalidPart", "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."}
	errInvalidPartOrder    = &apiError{http.StatusBadRequest, "InvalidPartOrder", "The list of parts was not in ascending order. Parts must be ordered by part number."}
	errNoSuchBucket        = &apiError{http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist"}
	errNoSuchKey           = &apiError{http.StatusNotFound, "NoSuchKey", "The specified key does not exist."}
	errNoSuchUpload        = &apiError{http.StatusNotFound, "NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."}
	errMethodNotAllowed    = &apiError{http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource."}
	errBucketExists        = &apiError{http.StatusConflict, "BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it."}
	errBucketNotEmpty      = &apiError{http.StatusConflict, "BucketNotEmpty", "The bucket you tried to delete is not empty"}
	errRestoring           = &apiError{http.StatusConflict, "RestoreAlreadyInProgress", "Object restore is already in progress"}
	errPrecondition        = &apiError{http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"}
	errNotModified         = &apiError{http.StatusNotModified, "NotModified", "Not Modified"}
	errInvalidRange        = &apiError{http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range is not satisfiable"}
	errInvalidObjectState  = &apiError{http.StatusForbidden, "InvalidObjectState", "The operation is not valid for the object's storage class"}
	errNoPathStyle         = &apiError{http.StatusForbidden, "SecondLevelDomainForbidden", "The bucket you are attempting to access must be addressed using OSS third level domain."}
	errNotImplemented      = &apiError{http.StatusNotImplemented, "NotImplemented", "A header you provided implies functionality that is not implemented"}
	errInternal            = &apiError{http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again."}
)
