// Package together is a processor at the beginning of a pipeline: it has returned once all exporters have, those behind
// detach processors as well, and an error leaves whole what was offered.
//
// A receiver tries again what has failed. But what processors have changed must not be changed again, and what the
// routing connector has moved to where it belongs is not there any more: the second time, nothing is offered, and that
// succeeds. So everything behind this one gets a copy. Texts are shared, not copied.
package together

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"

	"audit-operator.dev/tools/otelcol/processors/detach"
)

// NewFactory makes processors of type together, for logs.
func NewFactory() processor.Factory {
	return processor.NewFactory(
		component.MustNewType("together"),
		func() component.Config { return &struct{}{} },
		processor.WithLogs(newLogs, component.StabilityLevelBeta),
	)
}

func newLogs(_ context.Context, _ processor.Settings, _ component.Config, next consumer.Logs) (processor.Logs, error) {
	return &together{next: next}, nil
}

type together struct {
	component.StartFunc
	component.ShutdownFunc
	next consumer.Logs
}

// Capabilities says that what comes here stays as it is.
func (t *together) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: false}
}

// ConsumeLogs returns what is wrong with exporters that are waited for.
func (t *together) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	offered := plog.NewLogs()
	logs.CopyTo(offered)
	ctx, group := detach.NewGroup(ctx)
	defer group.Wait()
	return t.next.ConsumeLogs(ctx, offered)
}
