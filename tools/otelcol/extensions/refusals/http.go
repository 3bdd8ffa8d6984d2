package refusals

import (
	"context"
	"io"
	"net/http"

	"go.opentelemetry.io/collector/extension/extensionmiddleware"
)

const mostOfAnAnswer = 64 << 10

// GetHTTPRoundTripper makes 503 of what all records are answered with.
func (r *refusals) GetHTTPRoundTripper(context.Context) (extensionmiddleware.WrapHTTPRoundTripperFunc, error) {
	return func(_ context.Context, base http.RoundTripper) (http.RoundTripper, error) {
		return &client{refusals: r, base: base}, nil
	}, nil
}

type client struct {
	*refusals
	base http.RoundTripper
}

// RoundTrip is that of http.RoundTripper.
func (c *client) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := c.base.RoundTrip(request)
	if err != nil || !isRefusal(response.StatusCode) || request.GetBody == nil {
		return response, err
	}
	waits := c.isForAll(request.Context(), attempt{
		store:  request.URL.Host,
		answer: func() string { return response.Status },
		isRefused: func() bool {
			empty, failed := c.base.RoundTrip(withoutRecords(request))
			if failed != nil {
				return true
			}
			discard(empty)
			return !isAnswer(empty.StatusCode)
		},
		again: func() bool {
			discard(response)
			response, err = c.offer(request)
			return err == nil && isRefusal(response.StatusCode)
		},
	})
	if waits && err == nil {
		response.StatusCode = http.StatusServiceUnavailable
		response.Status = "503 Service Unavailable"
		// When to come again was said of something else, if at all.
		response.Header.Del("Retry-After")
		response.Header.Del("Location")
	}
	return response, err
}

func (c *client) offer(request *http.Request) (*http.Response, error) {
	body, err := request.GetBody()
	if err != nil {
		return nil, err
	}
	again := request.Clone(request.Context())
	again.Body = body
	return c.base.RoundTrip(again)
}

func withoutRecords(request *http.Request) *http.Request {
	empty := request.Clone(request.Context())
	empty.Body, empty.GetBody, empty.ContentLength = http.NoBody, nil, 0
	empty.Header.Del("Content-Encoding")
	return empty
}

// isRefusal says whether an exporter would give up what is answered so. A redirect with 301 to 303 is followed with GET,
// ends at a page that says 200, and has taken nothing; with 307 and 308, it is followed as it should be.
func isRefusal(code int) bool {
	return code >= http.StatusMultipleChoices && !isAnswer(code) && !comesAgain(code) &&
		code != http.StatusTemporaryRedirect && code != http.StatusPermanentRedirect
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

// discard lets the connection be used again.
func discard(response *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, mostOfAnAnswer))
	_ = response.Body.Close()
}
