package refusals

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

func quick() *refusals {
	made := newRefusals(zap.NewNop())
	made.pause = 0
	return made
}

// answered is what comes of a request with records where a store answers so; and how often it was sent records.
func answered(t *testing.T, store func(body string, offer int) int) (int, int) {
	t.Helper()
	offered := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if len(body) > 0 {
			offered++
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(store(string(body), offered))
	}))
	defer server.Close()
	wrap, _ := quick().GetHTTPRoundTripper(context.Background())
	transport, _ := wrap(context.Background(), http.DefaultTransport)
	client := http.Client{Transport: transport}
	response, err := client.Post(server.URL, "application/x-protobuf", strings.NewReader("records"))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode, offered
}

func TestWhatIsInTheWayOfAllRecordsIsTemporary(t *testing.T) {
	for _, code := range []int{301, 302, 303, 401, 403, 404, 405, 407, 409, 410, 451, 500, 501, 505} {
		got, offered := answered(t, func(string, int) int { return code })
		if got != http.StatusServiceUnavailable || offered != 1 {
			t.Errorf("%d became %d after %d offers", code, got, offered)
		}
	}
}

func TestWhatIsInTheWayOfTheseRecordsAloneIsFinal(t *testing.T) {
	for _, taken := range []int{200, 204, 400, 422} {
		got, offered := answered(t, func(body string, _ int) int {
			if body == "" {
				return taken
			}
			return http.StatusForbidden
		})
		if got != http.StatusForbidden || offered != offers {
			t.Errorf("beside %d it became %d after %d offers", taken, got, offered)
		}
	}
}

func TestWhatOneOfSeveralStoresTakesIsTaken(t *testing.T) {
	got, offered := answered(t, func(body string, offer int) int {
		if body != "" && offer == 1 {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	if got != http.StatusOK || offered != 2 {
		t.Errorf("became %d after %d offers", got, offered)
	}
}

func TestOtherAnswersStayAsTheyAre(t *testing.T) {
	for _, code := range []int{200, 204, 400, 411, 413, 415, 422, 429, 502, 503, 504} {
		got, offered := answered(t, func(string, int) int { return code })
		if got != code || offered != 1 {
			t.Errorf("%d became %d after %d offers", code, got, offered)
		}
	}
}

type message struct{ records int }

func called(t *testing.T, store func(records int) error) error {
	t.Helper()
	connection, err := grpc.NewClient("passthrough:///store", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	invoke := func(_ context.Context, _ string, request, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
		return store(request.(*message).records)
	}
	return quick().intercept(context.Background(), "/Export", &message{records: 7}, &message{}, connection, invoke)
}

func TestTheSameHoldsForGRPC(t *testing.T) {
	for _, each := range []struct {
		forRecords, forNone, becomes codes.Code
	}{
		{codes.OK, codes.OK, codes.OK},
		{codes.Unauthenticated, codes.Unauthenticated, codes.Unavailable},
		{codes.Unimplemented, codes.Unimplemented, codes.Unavailable},
		{codes.Internal, codes.Internal, codes.Unavailable},
		{codes.PermissionDenied, codes.Unavailable, codes.Unavailable},
		{codes.Internal, codes.OK, codes.Internal},
		{codes.PermissionDenied, codes.InvalidArgument, codes.PermissionDenied},
		{codes.InvalidArgument, codes.OK, codes.InvalidArgument},
		{codes.ResourceExhausted, codes.OK, codes.ResourceExhausted},
	} {
		err := called(t, func(records int) error {
			if records == 0 {
				return status.Error(each.forNone, "")
			}
			return status.Error(each.forRecords, "")
		})
		if status.Code(err) != each.becomes {
			t.Errorf("%s beside %s became %v", each.forRecords, each.forNone, err)
		}
	}
}

func TestWhatCannotBeSentIsNoRefusal(t *testing.T) {
	wrap, _ := quick().GetHTTPRoundTripper(context.Background())
	broken := errors.New("cut off")
	transport, _ := wrap(context.Background(), brokenTransport{broken})
	request, _ := http.NewRequest(http.MethodPost, "http://store/", strings.NewReader("records"))
	if _, err := transport.RoundTrip(request); !errors.Is(err, broken) {
		t.Error(err)
	}
}

type brokenTransport struct{ err error }

func (b brokenTransport) RoundTrip(*http.Request) (*http.Response, error) { return nil, b.err }
