// Package s3folders is upstream's exporter for S3, with a folder for each class of records.
//
// Upstream's chooses a folder by the first resource of a request, before requests wait in its queue. What leaves the
// queue is put together of many of them, so that records of every class lay in the folder of whichever came first. Here
// a request is taken apart behind the queue: queue and retries are those of the collector, and nothing is acknowledged
// before every part of it is stored. In which folder a record lies is decided when it is uploaded, not when it was read.
package s3folders

import (
	"context"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/awss3exporter"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

// NewFactory makes exporters for logs, of the type that upstream's have: what waits in a queue on disk is found again.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(
		awss3exporter.NewFactory().Type(),
		defaultConfig,
		exporter.WithLogs(newLogs, component.StabilityLevelBeta),
	)
}

func defaultConfig() component.Config {
	upstream := awss3exporter.NewFactory().CreateDefaultConfig().(*awss3exporter.Config)
	return &Config{S3: *upstream, Folders: Folders{Patience: time.Minute}}
}

func newLogs(ctx context.Context, set exporter.Settings, config component.Config) (exporter.Logs, error) {
	settings := config.(*Config)
	writer, err := newWriter(settings, set)
	if err != nil {
		return nil, err
	}
	return exporterhelper.NewLogs(ctx, set, config, writer.push,
		exporterhelper.WithStart(writer.start),
		exporterhelper.WithShutdown(writer.shutdown),
		// Each part of a request has upstream's timeout.
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{Timeout: 0}),
		exporterhelper.WithRetry(settings.S3.BackOffConfig),
		exporterhelper.WithQueue(settings.S3.QueueSettings),
	)
}
