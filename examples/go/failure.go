package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Describe says what is wrong with a call, in which field, and what to do: an Explicate server tells it in the details
// of the status. An error that gRPC itself made, or a proxy, has none.
func Describe(err error) string {
	failed, isStatus := status.FromError(err)
	if !isStatus {
		return err.Error() // not from a call: a file that cannot be read, a cell that is no number
	}
	told := []string{fmt.Sprintf("%s: %s", failed.Code(), failed.Message())}
	if len(failed.Details()) == 0 {
		told = append(told, hintFor(failed.Code()))
	}
	for _, detail := range failed.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo: // always there; the reasons are stable, so a program can branch on them
			told = append(told, fmt.Sprintf("  reason: %s", detail.Reason))
		case *errdetails.BadRequest:
			for _, violation := range detail.FieldViolations {
				told = append(told, fmt.Sprintf("  field %s: %s", violation.Field, violation.Description))
			}
		case *errdetails.ResourceInfo:
			told = append(told, fmt.Sprintf("  there is no %s %s", detail.ResourceType, detail.ResourceName))
		case *errdetails.RetryInfo:
			told = append(told, fmt.Sprintf("  it may work again in %s", delayOf(detail)))
		case *errdetails.RequestInfo:
			told = append(told, fmt.Sprintf("  the server's log knows it as %s", detail.RequestId))
		}
	}
	return strings.Join(told, "\n")
}

// hintFor says what to do about an error that did not come from an Explicate server.
func hintFor(code codes.Code) string {
	switch code {
	case codes.DeadlineExceeded:
		return "  no answer came in time: give it a longer --timeout, or see whether the server runs"
	case codes.Unavailable:
		return "  no server can be talked to there: is the address right, does it run, and does it use TLS as you do?"
	default:
		return "  gRPC or a proxy says so, not an Explicate server"
	}
}

// WithRetries asks again as long as the server says when to, and the deadline leaves time for it. A call that changes
// nothing, such as those of this program, may always be asked again.
func WithRetries(ctx context.Context, call func() error) error {
	for {
		err := call()
		wait, found := retryDelay(err)
		deadline, bounded := ctx.Deadline()
		if !found || bounded && time.Until(deadline) < wait {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}

// retryDelay is what RetryInfo says: the server is full, or still loads its models.
func retryDelay(err error) (time.Duration, bool) {
	for _, detail := range status.Convert(err).Details() {
		if retry, is := detail.(*errdetails.RetryInfo); is {
			return delayOf(retry), true
		}
	}
	return 0, false
}

func delayOf(retry *errdetails.RetryInfo) time.Duration {
	return time.Duration(retry.RetryDelay.GetSeconds())*time.Second + time.Duration(retry.RetryDelay.GetNanos())
}
