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

const tries = 20

// exporter is one that offers records again as long as it is to, and no more than some times.
type exporter struct {
	t      *testing.T
	url    string
	client http.Client
}

func exportingTo(t *testing.T, store http.HandlerFunc) *exporter {
	t.Helper()
	server := httptest.NewServer(store)
	t.Cleanup(server.Close)
	made := &exporter{t: t, url: server.URL}
	wrap, _ := (&refusals{log: zap.NewNop()}).GetHTTPRoundTripper(context.Background())
	made.client.Transport, _ = wrap(context.Background(), http.DefaultTransport)
	return made
}

func (e *exporter) offer(records string) int {
	response, err := e.client.Post(e.url, "application/x-protobuf", strings.NewReader(records))
	if err != nil {
		e.t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func (e *exporter) export(records string) int {
	for range tries {
		if code := e.offer(records); code != http.StatusServiceUnavailable {
			return code
		}
	}
	return http.StatusServiceUnavailable
}

func answering(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.Header().Set("Retry-After", "7200")
		w.WriteHeader(code)
	}
}

func body(r *http.Request) string {
	text, _ := io.ReadAll(r.Body)
	return string(text)
}

func TestWhatIsInTheWayOfAllRecordsIsWaitedOut(t *testing.T) {
	for _, code := range []int{301, 302, 303, 307, 308, 401, 403, 404, 405, 407, 409, 410, 451, 500, 501, 505} {
		e := exportingTo(t, answering(code))
		if got := e.export("records"); got != http.StatusServiceUnavailable {
			t.Errorf("%d became %d", code, got)
		}
	}
}

func TestRecordsThatWaitAreTakenOnceTheStoreTakesAny(t *testing.T) {
	code, taken := http.StatusUnauthorized, 0
	e := exportingTo(t, func(w http.ResponseWriter, r *http.Request) {
		if body(r) != "" && code == http.StatusOK {
			taken++
		}
		w.WriteHeader(code)
	})
	e.export("records")
	code = http.StatusOK
	if got := e.export("records"); got != http.StatusOK || taken != 1 {
		t.Errorf("became %d, taken %d times", got, taken)
	}
}

func TestWhatIsInTheWayOfTheseRecordsAloneIsFinal(t *testing.T) {
	for _, forNone := range []int{200, 204, 400, 422} {
		offered := 0
		e := exportingTo(t, func(w http.ResponseWriter, r *http.Request) {
			switch body(r) {
			case "poison":
				offered++
				w.WriteHeader(http.StatusForbidden)
			case "":
				w.WriteHeader(forNone)
			}
		})
		if got := e.export("poison"); got != http.StatusForbidden || offered != 1+rounds {
			t.Errorf("beside %d it became %d after %d offers", forNone, got, offered)
		}
		if got := e.export("records"); got != http.StatusOK {
			t.Errorf("others became %d", got)
		}
	}
}

func TestWhoeverIsShutOutForAWordGivesUpTheWordAndNothingElse(t *testing.T) {
	shut := 0
	e := exportingTo(t, func(w http.ResponseWriter, r *http.Request) {
		if shut > 0 {
			shut--
			w.WriteHeader(http.StatusForbidden)
		} else if body(r) == "poison" {
			shut = 3
			w.WriteHeader(http.StatusForbidden)
		}
	})
	left := map[string]bool{"poison": true, "1": true, "2": true, "3": true}
	became := map[string]int{}
	for range 20 * tries {
		for records := range left {
			if code := e.offer(records); code != http.StatusServiceUnavailable {
				became[records] = code
				delete(left, records)
			}
		}
	}
	if became["poison"] != http.StatusForbidden || became["1"] != 200 || became["2"] != 200 || became["3"] != 200 {
		t.Errorf("%v", became)
	}
}

func TestOtherAnswersStayAsTheyAre(t *testing.T) {
	for _, code := range []int{200, 204, 400, 411, 413, 415, 422, 429, 502, 503, 504} {
		e := exportingTo(t, answering(code))
		if got := e.offer("records"); got != code {
			t.Errorf("%d became %d", code, got)
		}
	}
}

func TestWhatCannotBeSentIsNoRefusal(t *testing.T) {
	broken := errors.New("cut off")
	transport := &client{memory: newMemory(zap.NewNop()), base: brokenTransport{broken}}
	request, _ := http.NewRequest(http.MethodPost, "http://store/", strings.NewReader("records"))
	if _, err := transport.RoundTrip(request); !errors.Is(err, broken) {
		t.Error(err)
	}
}

type brokenTransport struct{ err error }

func (b brokenTransport) RoundTrip(*http.Request) (*http.Response, error) { return nil, b.err }

func TestWhatIsRememberedIsBounded(t *testing.T) {
	known := newMemory(zap.NewNop())
	for number := range 10 * most {
		known.isFinal(number, "store", "403")
	}
	if len(known.refused) > most {
		t.Errorf("%d", len(known.refused))
	}
}

type message struct{ records int }

func TestTheSameHoldsForGRPC(t *testing.T) {
	connection, err := grpc.NewClient("passthrough:///store", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
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
		invoke := func(_ context.Context, _ string, request, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
			if request.(*message).records == 0 {
				return status.Error(each.forNone, "")
			}
			return status.Error(each.forRecords, "")
		}
		known, sent, becomes := newMemory(zap.NewNop()), &message{records: 7}, codes.Unavailable
		for range tries {
			becomes = status.Code(known.intercept(context.Background(), "/Export", sent, &message{}, connection, invoke))
			if becomes != codes.Unavailable {
				break
			}
		}
		if becomes != each.becomes {
			t.Errorf("%s beside %s became %s", each.forRecords, each.forNone, becomes)
		}
	}
}
