// Package document has the form in which single records are kept: a JSON object with the time, the event as text, and
// the record's attributes.
package document

import (
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

// Append adds a record, and the end of its line. Written by hand: the standard library's encoder would cost more than
// all else that is done with a record here.
func Append(line []byte, record plog.LogRecord) []byte {
	line = append(line, '{')
	line = appendField(line, fieldTime, Moment(record).AsTime().Format(time.RFC3339Nano))
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
	return append(line, "}\n"...)
}

func appendField(line []byte, name, value string) []byte {
	line = append(AppendText(line, name), ':')
	return AppendText(line, value)
}

const hexadecimal = "0123456789abcdef"

// AppendText adds a string of JSON. What is no UTF-8 becomes U+FFFD, as everywhere else.
func AppendText(line []byte, text string) []byte {
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

// ID is the same for the same event, so that one that is sent again is not kept twice; empty for what is no
// event. The text counts: clients choose audit IDs, and one that is used again must not hide an event.
func ID(record plog.LogRecord) string {
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

// Moment is when the record was, or else when it was seen.
func Moment(record plog.LogRecord) pcommon.Timestamp {
	if record.Timestamp() != 0 {
		return record.Timestamp()
	}
	return record.ObservedTimestamp()
}
