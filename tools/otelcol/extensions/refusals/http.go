package refusals

import (
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"strconv"

	"go.opentelemetry.io/collector/extension/extensionmiddleware"
)

const mostOfAnAnswer = 64 << 10

// GetHTTPRoundTripper makes 503 of a refusal that is not final.
func (r *refusals) GetHTTPRoundTripper(context.Context) (extensionmiddleware.WrapHTTPRoundTripperFunc, error) {
	return func(_ context.Context, base http.RoundTripper) (http.RoundTripper, error) {
		return &client{memory: newMemory(r.log), base: base}, nil
	}, nil
}

type client struct {
	*memory
	base http.RoundTripper
}

// RoundTrip is that of http.RoundTripper.
func (c *client) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.GetBody == nil {
		return c.base.RoundTrip(request)
	}
	if !c.isEmpty() && c.knows(digest(request)) {
		refused, err := c.base.RoundTrip(withoutRecords(request))
		if err != nil {
			return refused, err
		}
		if !isAnswer(refused.StatusCode) {
			c.wait(request.URL.Host, said(refused))
			return later(refused), nil
		}
		discard(refused)
	}
	response, err := c.base.RoundTrip(request)
	switch {
	case err != nil || comesAgain(response.StatusCode):
		return response, err
	case !isRefusal(response.StatusCode):
		if !c.isEmpty() {
			c.forget(digest(request))
		}
		return response, nil
	case c.isFinal(digest(request), request.URL.Host, said(response)):
		return stays(response), nil
	}
	return later(response), nil
}

func digest(request *http.Request) any {
	sum := sha256.New()
	if body, err := request.GetBody(); err == nil {
		_, _ = io.Copy(sum, body)
		_ = body.Close()
	}
	return [sha256.Size]byte(sum.Sum(nil))
}

func withoutRecords(request *http.Request) *http.Request {
	empty := request.Clone(request.Context())
	empty.Body, empty.GetBody, empty.ContentLength = http.NoBody, nil, 0
	empty.Header.Del("Content-Encoding")
	return empty
}

// later is what an exporter retries.
func later(response *http.Response) *http.Response {
	response.StatusCode = http.StatusServiceUnavailable
	response.Status = strconv.Itoa(response.StatusCode) + " " + http.StatusText(response.StatusCode)
	// When to come again was said of something else, if at all.
	response.Header.Del("Retry-After")
	return stays(response)
}

// stays keeps a client from where an answer leads: with credentials, and to what only this machine may reach.
func stays(response *http.Response) *http.Response {
	response.Header.Del("Location")
	return response
}

// isRefusal says whether an exporter would give up what is answered so, or follow it elsewhere. A redirect with 301 to
// 303 would be followed with GET, end at a page that says 200, and have taken nothing.
func isRefusal(code int) bool {
	return code >= http.StatusMultipleChoices && !isAnswer(code) && !comesAgain(code)
}

// isAnswer says whether a store has looked into what it was sent; RFC 9110.
func isAnswer(code int) bool {
	switch code {
	case http.StatusBadRequest, http.StatusLengthRequired, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return true
	}
	return code < http.StatusMultipleChoices
}

// comesAgain says whether an exporter retries by itself.
func comesAgain(code int) bool {
	switch code {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// said is the code alone: whoever chooses a store chooses its words.
func said(response *http.Response) string {
	return strconv.Itoa(response.StatusCode)
}

// discard lets the connection be used again.
func discard(response *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, mostOfAnAnswer))
	_ = response.Body.Close()
}
