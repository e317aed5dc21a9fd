package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/textproto"
	"strconv"

	"github.com/openoms/openoms/internal/egress"
)

// The codes of messages that were not sent (OMS v2, codes 0156 to 0161).
const (
	codeReceiver = "OMS.0156" // the receiver failed
	codeNoTopic  = "OMS.0157" // there is no such topic, or nothing behind it
	codeDenied   = "OMS.0158" // the receiver does not let us in
	codeInternal = "OMS.0159" // refused for what we sent
	codeBusy     = "OMS.0160" // the receiver wants us to wait
	codeNetwork  = "OMS.0161" // no answer
)

// failure is why an attempt failed. Its text is for the operator; it holds nothing of the target but host and port,
// and nothing that the receiver said but a number.
type failure struct {
	code   string
	detail string
	again  bool // a later attempt may succeed
}

// Error implements error.
func (f *failure) Error() string { return f.detail + " (" + f.code + ")" }

// broken is a connection that could not be made, or broke off. Errors of net/http and net/smtp hold URLs and texts of the
// receiver: only what is known to hold neither is taken from them.
func broken(during string, err error) *failure {
	detail := "the connection failed"
	var blocked *egress.Error
	var untrusted *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.As(err, &blocked):
		detail = blocked.Detail()
	case errors.As(err, &untrusted):
		detail = "its certificate is not trusted"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		detail = "no answer in time"
	}
	return &failure{code: codeNetwork, detail: during + ": " + detail, again: true}
}

// answered returns the failure that an HTTP status is, nil for success.
func answered(status int) error {
	f := &failure{detail: "the receiver answered with status " + strconv.Itoa(status)}
	switch {
	case status >= http.StatusOK && status < http.StatusMultipleChoices:
		return nil
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		f.code = codeDenied
	case status == http.StatusNotFound, status == http.StatusGone:
		f.code = codeNoTopic
	case status == http.StatusTooManyRequests:
		f.code, f.again = codeBusy, true
	case status == http.StatusRequestTimeout:
		f.code, f.again = codeNetwork, true
	case status >= http.StatusInternalServerError:
		f.code, f.again = codeReceiver, true
	default: // redirects among them: they are not followed
		f.code = codeInternal
	}
	return f
}

// Replies of mail servers (RFC 5321, RFC 4954).
const (
	smtpPermanent    = 500
	smtpAuthRequired = 530
	smtpNoMailbox    = 550
	smtpNotLocal     = 551
	smtpBadMailbox   = 553
)

// mailFailed returns the failure that an error of net/smtp is.
func mailFailed(during string, err error) error {
	reply, ok := errors.AsType[*textproto.Error](err)
	if !ok {
		return broken(during, err)
	}
	f := &failure{detail: during + ": the mail server replied " + strconv.Itoa(reply.Code)}
	switch {
	case reply.Code < smtpPermanent:
		f.code, f.again = codeBusy, true
	case reply.Code >= smtpAuthRequired && reply.Code < smtpNoMailbox:
		f.code = codeDenied
	case during == stepRecipient && (reply.Code == smtpNoMailbox || reply.Code == smtpNotLocal || reply.Code == smtpBadMailbox):
		f.code = codeNoTopic
	default:
		f.code = codeInternal
	}
	return f
}
