package searchbulk

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

const (
	fieldTime = "@timestamp"
	fieldText = "event"

	attributeCluster = "cluster"
	attributeID      = "auditID"
	attributeStage   = "stage"
)

// appendDocument adds the two lines of one record to a request. Written by hand: the standard library's encoder would
// cost more than all else that is done with a record here.
func appendDocument(buffer *bytes.Buffer, record plog.LogRecord) {
	line := buffer.AvailableBuffer()
	line = append(line, `{"create":{`...)
	if id := documentID(record); id != "" {
		line = append(line, `"_id":`...)
		line = appendText(line, id)
	}
	line = append(line, "}}\n{"...)
	line = appendField(line, fieldTime, moment(record).AsTime().Format(time.RFC3339Nano))
	line = append(line, ',')
	line = appendField(line, fieldText, record.Body().AsString())
	for name, value := range record.Attributes().All() {
		if name == fieldTime || name == fieldText {
			continue // a name twice would be no document
		}
		line = append(line, ',')
		// Text, always: a field has one type in all documents of an index.
		line = appendField(line, name, value.AsString())
	}
	buffer.Write(append(line, "}\n"...))
}

func appendField(line []byte, name, value string) []byte {
	line = append(appendText(line, name), ':')
	return appendText(line, value)
}

const hexadecimal = "0123456789abcdef"

// appendText adds a string of JSON. What is no UTF-8 becomes U+FFFD, as everywhere else.
func appendText(line []byte, text string) []byte {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\ufffd")
	}
	line = append(line, '"')
	done := 0
	for at := 0; at < len(text); at++ {
		character := text[at]
		if character >= ' ' && character != '"' && character != '\\' {
			continue
		}
		line = append(line, text[done:at]...)
		if character < ' ' {
			line = append(line, '\\', 'u', '0', '0', hexadecimal[character>>4], hexadecimal[character&15])
		} else {
			line = append(line, '\\', character)
		}
		done = at + 1
	}
	return append(append(line, text[done:]...), '"')
}

// documentID is the same for the same event, so that one that is sent again is not kept twice; empty for what is no
// event. The text counts: clients choose audit IDs, and one that is used again must not hide an event.
func documentID(record plog.LogRecord) string {
	attributes := record.Attributes()
	id, ok := attributes.Get(attributeID)
	if !ok || id.AsString() == "" {
		return ""
	}
	hash := sha256.New()
	for _, name := range []string{attributeCluster, attributeID, attributeStage} {
		if value, ok := attributes.Get(name); ok {
			_, _ = io.WriteString(hash, value.AsString())
		}
		_, _ = hash.Write([]byte{0})
	}
	_, _ = io.WriteString(hash, record.Body().AsString())
	return base64.RawURLEncoding.EncodeToString(hash.Sum(nil))
}

func moment(record plog.LogRecord) pcommon.Timestamp {
	if record.Timestamp() != 0 {
		return record.Timestamp()
	}
	return record.ObservedTimestamp()
}
