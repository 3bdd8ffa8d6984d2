// Package searchbulk is an exporter for the bulk interface that OpenSearch and Elasticsearch share.
//
// Upstream has one for each. That for Elasticsearch counts what OpenSearch has taken as lost, since the answer does not
// say that it comes from Elasticsearch; it gives a request up after a number of tries, and counts documents that the
// store refuses as sent. The module of the other one could not be fetched. This one has the queue and the retries that
// the collector's own exporters have, and so their guarantees.
package searchbulk

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configcompression"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

// NewFactory makes exporters of type search_bulk, for logs.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(
		component.MustNewType("search_bulk"),
		defaultConfig,
		exporter.WithLogs(newLogs, component.StabilityLevelBeta),
	)
}

func defaultConfig() component.Config {
	client := confighttp.NewDefaultClientConfig()
	client.Timeout = 30 * time.Second
	client.Compression = configcompression.TypeGzip
	return &Config{
		ClientConfig: client,
		QueueConfig:  configoptional.Some(exporterhelper.NewDefaultQueueConfig()),
		RetryConfig:  configretry.NewDefaultBackOffConfig(),
	}
}

func newLogs(ctx context.Context, set exporter.Settings, config component.Config) (exporter.Logs, error) {
	settings := config.(*Config)
	sender, err := newSender(settings, set)
	if err != nil {
		return nil, err
	}
	return exporterhelper.NewLogs(ctx, set, config, sender.push,
		exporterhelper.WithStart(sender.start),
		// The client has a timeout of its own, for each request.
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{Timeout: 0}),
		exporterhelper.WithRetry(settings.RetryConfig),
		exporterhelper.WithQueue(settings.QueueConfig),
	)
}
