package s3folders

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/awss3exporter"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.uber.org/zap"
)

// writer has one of upstream's exporters, without queue and retries, for each folder that anything was written to.
type writer struct {
	config  *Config
	set     exporter.Settings
	table   *table
	mutex   sync.Mutex
	host    component.Host
	folders map[string]exporter.Logs
	refused metric.Int64Counter
	// refusing says of folders since when nothing could be written there.
	refusing map[string]time.Time
}

func newWriter(config *Config, set exporter.Settings) (*writer, error) {
	refused, err := set.MeterProvider.Meter("s3folders").Int64Counter(
		"otelcol_exporter_diverted_log_records",
		metric.WithDescription("Records that were written beside all folders, as their own could not be written."),
	)
	return &writer{
		config:   config,
		set:      set,
		table:    &table{config: config.Folders, logger: set.Logger},
		folders:  make(map[string]exporter.Logs),
		refused:  refused,
		refusing: make(map[string]time.Time),
	}, err
}

// start makes the one for records without a folder, so that settings that cannot work are known at once.
func (w *writer) start(ctx context.Context, host component.Host) error {
	w.host = host
	_, err := w.of(ctx, "")
	return err
}

func (w *writer) shutdown(ctx context.Context) error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	var failed error
	for _, each := range w.folders {
		failed = errors.Join(failed, each.Shutdown(ctx))
	}
	clear(w.folders)
	return failed
}

// push writes one object for each folder; an error says what is to be sent again.
func (w *writer) push(ctx context.Context, logs plog.Logs) error {
	parts := byFolder(logs, w.table.of())
	rest := plog.NewLogs()
	var final, passing error
	for folder, part := range parts {
		err := w.write(ctx, folder, part)
		if err != nil && w.isRefused(folder, err) {
			err = w.writeBeside(ctx, folder, part, err)
		}
		if err == nil {
			continue
		}
		if len(parts) == 1 {
			return err
		}
		part.ResourceLogs().MoveAndAppendTo(rest.ResourceLogs())
		if consumererror.IsPermanent(err) {
			final = errors.Join(final, err)
		} else {
			passing = errors.Join(passing, err)
		}
	}
	switch {
	case passing != nil:
		// What can never be written goes with it, and is given up once nothing else is left.
		return consumererror.NewLogs(passing, rest)
	case final != nil:
		return consumererror.NewPermanent(consumererror.NewLogs(final, rest))
	}
	return nil
}

func (w *writer) write(ctx context.Context, folder string, logs plog.Logs) error {
	target, err := w.of(ctx, folder)
	if err != nil {
		return err
	}
	if err = target.ConsumeLogs(ctx, logs); err == nil {
		w.mutex.Lock()
		defer w.mutex.Unlock()
		delete(w.refusing, folder)
	}
	return err
}

// isRefused says whether a store has refused a folder for so long that this is not waited for any more.
func (w *writer) isRefused(folder string, err error) bool {
	var answer interface{ HTTPStatusCode() int }
	if folder == "" || !errors.As(err, &answer) {
		return false
	}
	switch code := answer.HTTPStatusCode(); {
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests:
		return false
	case code < http.StatusBadRequest, code >= http.StatusInternalServerError:
		return false
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	since, known := w.refusing[folder]
	if !known {
		since = time.Now()
		w.refusing[folder] = since
	}
	return time.Since(since) >= w.config.Folders.Patience
}

// writeBeside writes to where records of no class are, and nothing is deleted by its age. Left in the queue, what one
// folder refuses would be tried again and again by every consumer that the queue has, and nothing else written.
func (w *writer) writeBeside(ctx context.Context, folder string, logs plog.Logs, refused error) error {
	if err := w.write(ctx, "", logs); err != nil {
		return errors.Join(refused, err)
	}
	itself := metric.WithAttributes(attribute.String("exporter", w.set.ID.String()))
	w.refused.Add(ctx, int64(logs.LogRecordCount()), itself)
	w.set.Logger.Error("Records were written beside the folder of their class, which is refused.",
		zap.String("folder", folder), zap.Int("records", logs.LogRecordCount()), zap.Error(refused))
	return nil
}

func (w *writer) of(ctx context.Context, folder string) (exporter.Logs, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if known, there := w.folders[folder]; there {
		return known, nil
	}
	config := w.config.S3
	config.S3Uploader.S3Prefix = folder
	config.QueueSettings = configoptional.None[exporterhelper.QueueBatchConfig]()
	config.BackOffConfig.Enabled = false
	set := w.set
	// What it counts and says, the exporter around it does already.
	set.MeterProvider = noop.NewMeterProvider()
	set.Logger = zap.NewNop()
	made, err := awss3exporter.NewFactory().CreateLogs(ctx, set, &config)
	if err != nil {
		return nil, err
	}
	if err := made.Start(ctx, w.host); err != nil {
		return nil, err
	}
	w.folders[folder] = made
	return made, nil
}

// byFolder takes records apart by their folders; what they have in common goes with each. Without folders, nothing is
// copied.
func byFolder(logs plog.Logs, folders map[string]string) map[string]plog.Logs {
	if len(folders) == 0 {
		return map[string]plog.Logs{"": logs}
	}
	parts := make(map[string]plog.Logs)
	for _, resource := range logs.ResourceLogs().All() {
		for _, scoped := range resource.ScopeLogs().All() {
			theirs := make(map[string]plog.LogRecordSlice)
			for _, record := range scoped.LogRecords().All() {
				folder := folderOf(record, folders)
				if _, there := theirs[folder]; !there {
					theirs[folder] = like(resource, scoped, parts, folder)
				}
				record.CopyTo(theirs[folder].AppendEmpty())
			}
		}
	}
	return parts
}

// like adds to a folder's part what records of one resource and scope have in common, and gives a place for those.
func like(
	resource plog.ResourceLogs, scoped plog.ScopeLogs, parts map[string]plog.Logs, folder string,
) plog.LogRecordSlice {
	part, there := parts[folder]
	if !there {
		part = plog.NewLogs()
		parts[folder] = part
	}
	ofResource := part.ResourceLogs().AppendEmpty()
	resource.Resource().CopyTo(ofResource.Resource())
	ofResource.SetSchemaUrl(resource.SchemaUrl())
	ofScope := ofResource.ScopeLogs().AppendEmpty()
	scoped.Scope().CopyTo(ofScope.Scope())
	ofScope.SetSchemaUrl(scoped.SchemaUrl())
	return ofScope.LogRecords()
}
