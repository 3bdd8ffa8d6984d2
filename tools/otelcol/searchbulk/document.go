package searchbulk

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"

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

// appendDocument adds the two lines of one record to a request.
func appendDocument(buffer *bytes.Buffer, record plog.LogRecord) error {
	action := map[string]map[string]string{"create": {}}
	if id := documentID(record); id != "" {
		action["create"]["_id"] = id
	}
	fields := map[string]string{}
	for name, value := range record.Attributes().All() {
		// Text, always: a field has one type in all documents of an index.
		fields[name] = value.AsString()
	}
	fields[fieldTime] = moment(record).AsTime().Format(time.RFC3339Nano)
	fields[fieldText] = record.Body().AsString()
	encoder := json.NewEncoder(buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(action); err != nil {
		return err
	}
	return encoder.Encode(fields)
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
			hash.Write([]byte(value.AsString()))
		}
		hash.Write([]byte{0})
	}
	hash.Write([]byte(record.Body().AsString()))
	return base64.RawURLEncoding.EncodeToString(hash.Sum(nil))
}

func moment(record plog.LogRecord) pcommon.Timestamp {
	if record.Timestamp() != 0 {
		return record.Timestamp()
	}
	return record.ObservedTimestamp()
}
