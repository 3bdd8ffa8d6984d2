package searchbulk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"audit-operator.dev/tools/otelcol/exporters/document"
)

const (
	scope       = "audit-operator.dev/tools/otelcol/exporters/searchbulk"
	bulkQuery   = "/_bulk?filter_path=items.*.status,items.*.error.type"
	bulkContent = "application/x-ndjson"
)

// sender writes requests to one store. The collector's own counters speak of requests; those here speak of documents,
// of which a store may refuse some.
type sender struct {
	config  *Config
	set     exporter.Settings
	client  *http.Client
	ready   atomic.Bool
	indexed metric.Int64Counter
	refused metric.Int64Counter
	labels  metric.MeasurementOption
}

func newSender(config *Config, set exporter.Settings) (*sender, error) {
	meter := set.MeterProvider.Meter(scope)
	indexed, first := meter.Int64Counter("otelcol_exporter_indexed_log_records",
		metric.WithDescription("Number of log records of which the store said that it has them."),
		metric.WithUnit("{records}"))
	refused, second := meter.Int64Counter("otelcol_exporter_refused_log_records",
		metric.WithDescription("Number of log records that the store refused for good."),
		metric.WithUnit("{records}"))
	labels := metric.WithAttributeSet(attribute.NewSet(attribute.String("exporter", set.ID.String())))
	return &sender{config: config, set: set, indexed: indexed, refused: refused, labels: labels}, errors.Join(first, second)
}

func (s *sender) start(ctx context.Context, host component.Host) error {
	client, err := s.config.ClientConfig.ToClient(ctx, host.GetExtensions(), s.set.TelemetrySettings)
	if err != nil {
		return err
	}
	// What stands at the end of a redirect is a page for signing in, at times, and answers with success.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.client = client
	s.indexed.Add(ctx, 0, s.labels)
	s.refused.Add(ctx, 0, s.labels)
	return nil
}

// push sends records; an error says which of them are to be sent again.
func (s *sender) push(ctx context.Context, logs plog.Logs) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	var body bytes.Buffer
	records := recordsOf(logs)
	for _, record := range records {
		appendAction(&body, record)
	}
	found, err := s.write(ctx, &body, len(records))
	if err != nil {
		return err
	}
	return s.settle(ctx, logs, found)
}

// prepare makes the index unless it is there, under this name or that of an alias, or a template of the store makes a
// data stream of it. A store that does not let us has its own way; whether it does is asked again until one request has
// succeeded, since a store answers so, too, while somebody sets it up.
func (s *sender) prepare(ctx context.Context) error {
	if s.config.NewIndex == "" || s.ready.Load() {
		return nil
	}
	answer, err := s.request(ctx, http.MethodPut, "", "application/json", strings.NewReader(s.config.NewIndex))
	if err != nil {
		return err
	}
	defer discard(answer)
	switch answer.StatusCode {
	case http.StatusBadRequest:
		if couldNotMake(answer.Body) {
			break
		}
		fallthrough
	case http.StatusOK, http.StatusCreated:
		s.ready.Store(true)
		return nil
	case http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
		return nil
	}
	return fmt.Errorf("the store answered with HTTP status %d when its index was to be made", answer.StatusCode)
}

func (s *sender) write(ctx context.Context, body io.Reader, documents int) ([]verdict, error) {
	answer, err := s.request(ctx, http.MethodPost, bulkQuery, bulkContent, body)
	if err != nil {
		return nil, err
	}
	defer discard(answer)
	switch answer.StatusCode {
	case http.StatusOK:
		s.ready.Store(true)
		return verdicts(answer.Body, documents)
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		// The same request would be refused again, for ever.
		return nil, consumererror.NewPermanent(fmt.Errorf("the store answered with HTTP status %d", answer.StatusCode))
	}
	return nil, fmt.Errorf("the store answered with HTTP status %d", answer.StatusCode)
}

func (s *sender) request(
	ctx context.Context, method, path, content string, body io.Reader,
) (*http.Response, error) {
	url := strings.TrimRight(s.config.ClientConfig.Endpoint, "/") + "/" + s.config.Index + path
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, consumererror.NewPermanent(err)
	}
	request.Header.Set("Content-Type", content)
	return s.client.Do(request)
}

// settle counts what the store has said. As long as some must be sent again, those that it refuses go with them: they
// are counted once, when nothing else is left, however often the collector stops in between.
func (s *sender) settle(ctx context.Context, logs plog.Logs, found []verdict) error {
	var counts [3]int64
	var worst verdict
	for _, each := range found {
		counts[each.outcome]++
		if each.outcome > worst.outcome {
			worst = each
		}
	}
	s.indexed.Add(ctx, counts[kept], s.labels)
	if counts[later] > 0 {
		err := fmt.Errorf("the store put off %d documents, with status %d", counts[later], worst.status)
		return consumererror.NewLogs(err, without(logs, found))
	}
	s.refused.Add(ctx, counts[refused], s.labels)
	if counts[refused] > 0 {
		// Never the store's reason, which quotes what it refuses.
		s.set.Logger.Error("The store refused documents. They are dropped.", zap.Int64("documents", counts[refused]),
			zap.Int("status", worst.status), zap.String("error.type", worst.kind))
	}
	return nil
}

// appendAction adds the two lines of one record.
func appendAction(buffer *bytes.Buffer, record plog.LogRecord) {
	line := append(buffer.AvailableBuffer(), `{"create":{`...)
	if id := document.ID(record); id != "" {
		line = document.AppendText(append(line, `"_id":`...), id)
	}
	buffer.Write(document.Append(append(line, "}}\n"...), record))
}

func recordsOf(logs plog.Logs) []plog.LogRecord {
	records := make([]plog.LogRecord, 0, logs.LogRecordCount())
	for _, resource := range logs.ResourceLogs().All() {
		for _, scoped := range resource.ScopeLogs().All() {
			for _, record := range scoped.LogRecords().All() {
				records = append(records, record)
			}
		}
	}
	return records
}

// without leaves out what the store has. The order is that of recordsOf.
func without(logs plog.Logs, found []verdict) plog.Logs {
	rest, next := plog.NewLogs(), 0
	logs.CopyTo(rest)
	for _, resource := range rest.ResourceLogs().All() {
		for _, scoped := range resource.ScopeLogs().All() {
			scoped.LogRecords().RemoveIf(func(plog.LogRecord) bool {
				next++
				return found[next-1].outcome == kept
			})
		}
	}
	return rest
}

// discard reads what is left, so that the connection can be used again.
func discard(answer *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, mostOfRest))
	_ = answer.Body.Close()
}
