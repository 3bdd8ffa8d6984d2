// Package detach is a processor before exporters that nobody may have to wait for, or get an error of.
//
// Upstream's batch processor was there before: it takes every record, and passes no error back. But it has taken a record
// before that lies in the exporter's queue, so that a receiver notes it as delivered, and what a kill finds in between is
// lost. This one has returned, or whoever hands on the group of the request has, once the exporter's queue has the
// record, or has refused it.
//
// It is for exporters whose queue never waits for room. What they refuse, they count and log themselves.
package detach

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
)

// NewFactory makes processors of type detach, for logs.
func NewFactory() processor.Factory {
	return processor.NewFactory(
		component.MustNewType("detach"),
		func() component.Config { return &struct{}{} },
		processor.WithLogs(newLogs, component.StabilityLevelBeta),
	)
}

func newLogs(_ context.Context, _ processor.Settings, _ component.Config, next consumer.Logs) (processor.Logs, error) {
	return &detached{next: next}, nil
}

type detached struct {
	component.StartFunc
	component.ShutdownFunc
	next consumer.Logs
}

// Capabilities says that nothing is changed here. Where exporters behind it do change what they get, as all with batches
// do, the collector knows that of the whole pipeline, and gives it a copy of what goes elsewhere as well.
func (d *detached) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: false}
}

// ConsumeLogs never fails.
func (d *detached) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	// Who has posted records may hang up before all of their exporters have them.
	whole := context.WithoutCancel(ctx)
	group, ok := ctx.Value(groupKey{}).(*Group)
	if !ok {
		_ = d.next.ConsumeLogs(whole, logs)
		return nil
	}
	group.add(logs, func(logs plog.Logs) { _ = d.next.ConsumeLogs(whole, logs) })
	return nil
}
