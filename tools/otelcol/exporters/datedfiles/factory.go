// Package datedfiles is an exporter that writes a file for each namespace and day.
//
// Upstream's exporter for files can do so, too, and loses records there: where a write fails, as on a full disk, it says
// that it will never succeed, so that nobody tries again; and without rotation it says that it has written what it holds
// in memory for a second. This one has the queue and the retries that the collector's own exporters have, and has written
// to disk what it says it has written.
package datedfiles

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Config is what users set.
type Config struct {
	// Directory is where the namespaces' folders are; it is made if it is not there.
	Directory string `mapstructure:"directory"`

	QueueConfig configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`
	RetryConfig configretry.BackOffConfig                                `mapstructure:"retry_on_failure"`
}

// Validate is called when the configuration is read.
func (c *Config) Validate() error {
	if c.Directory == "" {
		return errors.New("directory must be set")
	}
	return nil
}

// NewFactory makes exporters of type dated_files, for logs.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(
		component.MustNewType("dated_files"),
		defaultConfig,
		exporter.WithLogs(newLogs, component.StabilityLevelBeta),
	)
}

func defaultConfig() component.Config {
	return &Config{
		QueueConfig: configoptional.Some(exporterhelper.NewDefaultQueueConfig()),
		RetryConfig: configretry.NewDefaultBackOffConfig(),
	}
}

func newLogs(ctx context.Context, set exporter.Settings, config component.Config) (exporter.Logs, error) {
	settings := config.(*Config)
	refused, err := set.MeterProvider.Meter("datedfiles").Int64Counter(
		"otelcol_exporter_diverted_log_records",
		metric.WithDescription("Records that were written to "+folderOfRefused+", as their own files could not be written."),
	)
	if err != nil {
		return nil, err
	}
	files := &files{
		directory: settings.Directory,
		logger:    set.Logger,
		refused:   refused,
		itself:    metric.WithAttributes(attribute.String("exporter", set.ID.String())),
		failing:   make(map[string]time.Time),
	}
	return exporterhelper.NewLogs(ctx, set, config, files.push,
		// What was begun is to be ended: half of a batch would be written twice.
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{Timeout: 0}),
		exporterhelper.WithRetry(settings.RetryConfig),
		exporterhelper.WithQueue(settings.QueueConfig),
	)
}
