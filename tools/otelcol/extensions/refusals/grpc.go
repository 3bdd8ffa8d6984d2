package refusals

import (
	"context"
	"reflect"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// GetGRPCClientOptions makes Unavailable of a refusal that is not final.
func (r *refusals) GetGRPCClientOptions(context.Context) ([]grpc.DialOption, error) {
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(newMemory(r.log).intercept)}, nil
}

// intercept takes a message that is offered again for the one that it was: an exporter keeps it for that.
func (m *memory) intercept(
	ctx context.Context, method string, request, reply any,
	connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	if m.knows(request) {
		// Of whatever type messages are here: their zero value has no records.
		err := invoke(ctx, method, like(request), like(reply), connection, options...)
		if isRefused(err) {
			m.wait(connection.Target(), status.Code(err).String())
			return unavailable(err)
		}
		if comesLater(err) {
			return err
		}
	}
	err := invoke(ctx, method, request, reply, connection, options...)
	switch {
	case comesLater(err):
		return err
	case !isRefused(err):
		m.forget(request)
		return err
	case m.isFinal(request, connection.Target(), status.Code(err).String()):
		return err
	}
	return unavailable(err)
}

func like(message any) any {
	return reflect.New(reflect.TypeOf(message).Elem()).Interface()
}

// unavailable is what an exporter retries.
func unavailable(err error) error {
	return status.Errorf(codes.Unavailable, "answered with %s: %s", status.Code(err), status.Convert(err).Message())
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
