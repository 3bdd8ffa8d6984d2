package together

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// show lets the collector's metrics say whether it is held up, and which exporters can do that.
func show(provider metric.MeterProvider, held *holding, exporters []string) error {
	meter := provider.Meter("together")
	_, err := meter.Int64ObservableGauge(
		"otelcol_processor_held_up",
		metric.WithDescription("1 where a receiver may hold what is not taken yet, else 0."),
		metric.WithInt64Callback(func(_ context.Context, observer metric.Int64Observer) error {
			if held.isHeldUp(time.Now()) {
				observer.Observe(1)
			} else {
				observer.Observe(0)
			}
			return nil
		}),
	)
	if err != nil {
		return err
	}
	_, err = meter.Int64ObservableGauge(
		"otelcol_processor_waits_for",
		metric.WithDescription("1 for each exporter whose queue is waited for when it is full."),
		metric.WithInt64Callback(func(_ context.Context, observer metric.Int64Observer) error {
			for _, each := range exporters {
				observer.Observe(1, metric.WithAttributes(attribute.String("exporter", each)))
			}
			return nil
		}),
	)
	return err
}
