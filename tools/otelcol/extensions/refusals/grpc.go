package refusals

import (
	"context"
	"reflect"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// GetGRPCClientOptions makes Unavailable of what all records are answered with.
func (r *refusals) GetGRPCClientOptions(context.Context) ([]grpc.DialOption, error) {
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(r.intercept)}, nil
}

func (r *refusals) intercept(
	ctx context.Context, method string, request, reply any,
	connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	err := invoke(ctx, method, request, reply, connection, options...)
	if !isRefused(err) {
		return err
	}
	waits := r.isForAll(ctx, attempt{
		store:  connection.Target(),
		answer: func() string { return status.Code(err).String() },
		isRefused: func() bool {
			// Of whatever type messages are here: their zero value has no records.
			failed := invoke(ctx, method, like(request), like(reply), connection, options...)
			return isRefused(failed) || comesLater(failed)
		},
		again: func() bool {
			err = invoke(ctx, method, request, reply, connection, options...)
			return isRefused(err)
		},
	})
	if waits && isRefused(err) {
		return status.Errorf(codes.Unavailable, "answered with %s: %s", status.Code(err), status.Convert(err).Message())
	}
	return err
}

func like(message any) any {
	return reflect.New(reflect.TypeOf(message).Elem()).Interface()
}

// isRefused has what is said of who asks, or of the one who is asked: https://opentelemetry.io/docs/specs/otlp/#failures
// has the rest, which is about records, or retried anyway.
func isRefused(err error) bool {
	switch status.Code(err) {
	case codes.Unknown, codes.NotFound, codes.PermissionDenied, codes.FailedPrecondition, codes.Unimplemented,
		codes.Internal, codes.Unauthenticated:
		return true
	}
	return false
}

func comesLater(err error) bool {
	switch status.Code(err) {
	case codes.Canceled, codes.DeadlineExceeded, codes.Unavailable, codes.Aborted:
		return true
	}
	return false
}
