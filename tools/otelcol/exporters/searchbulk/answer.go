package searchbulk

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// What is read of an answer: so much for each document, and so much besides. Who answers may be a tenant's, and may
// answer anything; so nothing is kept of it but what is asked for.
const (
	mostOfDocument = 512
	mostOfRest     = 64 << 10
	longestKind    = 64
)

type outcome int

const (
	kept outcome = iota
	refused
	later
)

// item is what a store says of one document of a request.
type item struct {
	Create struct {
		Status int `json:"status"`
		Error  struct {
			Type string `json:"type"`
		} `json:"error"`
	} `json:"create"`
}

type verdict struct {
	outcome outcome
	status  int
	kind    string
}

var errNoAnswer = errors.New("the answer is not the one that a store gives to a bulk request")

// verdicts reads an answer to a request of so many documents, {"items": [...]}, in their order. Whatever is no such
// answer proves nothing.
func verdicts(body io.Reader, documents int) ([]verdict, error) {
	decoder := json.NewDecoder(io.LimitReader(body, mostOfRest+int64(documents)*mostOfDocument))
	for _, wanted := range []json.Token{json.Delim('{'), "items", json.Delim('[')} {
		if found, err := decoder.Token(); err != nil || found != wanted {
			return nil, errNoAnswer
		}
	}
	found := make([]verdict, 0, documents)
	for decoder.More() {
		var each item
		if err := decoder.Decode(&each); err != nil || len(found) == documents {
			return nil, errNoAnswer
		}
		said := each.Create
		found = append(found, verdict{judge(said.Status, said.Error.Type), said.Status, said.Error.Type[:min(len(said.Error.Type), longestKind)]})
	}
	if _, err := decoder.Token(); err != nil || len(found) != documents {
		return nil, errNoAnswer
	}
	return found, nil
}

// ofIndex are kinds of errors with status 400 that say nothing of the document: a closed index, no room for a shard.
var ofIndex = map[string]bool{"index_closed_exception": true, "validation_exception": true}

// judge says what the status of one document means. What concerns the index, the server or the credentials is mended by
// somebody, and what concerns the document never: it must not hold up the others.
func judge(status int, kind string) outcome {
	switch {
	case status >= 200 && status < 300:
		return kept
	case status == http.StatusConflict:
		// It is there already, under the same id.
		return kept
	case status >= http.StatusInternalServerError || ofIndex[kind]:
		return later
	}
	switch status {
	case 0, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusRequestTimeout,
		http.StatusTooManyRequests:
		return later
	}
	return refused
}

// couldNotMake says whether an answer to the making of an index is about the store, and not about an index that is
// there already, or a name that stands for something else.
func couldNotMake(body io.Reader) bool {
	var said struct {
		Error struct {
			Type string `json:"type"`
		} `json:"error"`
	}
	err := json.NewDecoder(io.LimitReader(body, mostOfRest)).Decode(&said)
	return err == nil && ofIndex[said.Error.Type]
}
