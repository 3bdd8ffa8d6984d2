package searchbulk

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// The most that is read of an answer: some 100 bytes for each document.
const mostOfAnswer = 32 << 20

type outcome int

const (
	kept outcome = iota
	refused
	later
)

// bulkAnswer is what a store says of the documents of a request, in their order.
type bulkAnswer struct {
	Items []map[string]struct {
		Status int `json:"status"`
		Error  struct {
			Type string `json:"type"`
		} `json:"error"`
	} `json:"items"`
}

type verdict struct {
	outcome outcome
	status  int
	kind    string
}

// verdicts reads an answer to a request of so many documents. Whatever is no such answer proves nothing.
func verdicts(body io.Reader, documents int) ([]verdict, error) {
	var answer bulkAnswer
	if err := json.NewDecoder(io.LimitReader(body, mostOfAnswer)).Decode(&answer); err != nil {
		return nil, errors.New("the answer is not the one that a store gives to a bulk request")
	}
	if len(answer.Items) != documents {
		return nil, errors.New("the answer does not speak of every document")
	}
	found := make([]verdict, 0, documents)
	for _, item := range answer.Items {
		each := verdict{outcome: later}
		for _, said := range item {
			each = verdict{judge(said.Status), said.Status, said.Error.Type}
		}
		found = append(found, each)
	}
	return found, nil
}

// judge says what the status of one document means. What concerns the index or the credentials is mended by somebody,
// and what concerns the document never: it must not hold up the others.
func judge(status int) outcome {
	switch {
	case status >= 200 && status < 300:
		return kept
	case status == http.StatusConflict:
		// It is there already, under the same id.
		return kept
	}
	switch status {
	case 0, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusRequestTimeout,
		http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return later
	}
	return refused
}
