// Package together is a processor at the beginning of a pipeline: it has returned once all exporters have, those behind
// detach processors as well, and an error leaves whole what was offered.
//
// A receiver tries again what has failed. But what processors have changed must not be changed again, and what the
// routing connector has moved to where it belongs is not there any more: the second time, nothing is offered, and that
// succeeds. So everything behind this one gets a copy. Texts are shared, not copied. And what is behind detach processors
// gets it once nobody will offer it again: each time would be one more copy in a store that has taken the first.
//
// It also shows whether a receiver is held up: one that is ended in order then loses what it holds.
package together

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"

	"audit-operator.dev/tools/otelcol/processors/detach"
)

// Config is what it is told.
type Config struct {
	// Exporters behind it that are not behind a detach processor.
	Exporters []string `mapstructure:"exporters"`
}

// NewFactory makes processors of type together, for logs.
func NewFactory() processor.Factory {
	return processor.NewFactory(
		component.MustNewType("together"),
		func() component.Config { return &Config{} },
		processor.WithLogs(newLogs, component.StabilityLevelBeta),
	)
}

func newLogs(
	_ context.Context, set processor.Settings, config component.Config, next consumer.Logs,
) (processor.Logs, error) {
	made := &together{next: next, held: &holding{begun: make(map[int]time.Time)}}
	return made, show(set.MeterProvider, made.held, config.(*Config).Exporters)
}

type together struct {
	component.StartFunc
	component.ShutdownFunc
	next consumer.Logs
	held *holding
}

// Capabilities says that what comes here stays as it is.
func (t *together) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: false}
}

// ConsumeLogs returns what is wrong with exporters that are waited for.
func (t *together) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	done := t.held.begin(time.Now())
	offered := plog.NewLogs()
	logs.CopyTo(offered)
	ctx, group := detach.NewGroup(ctx)
	err := t.next.ConsumeLogs(ctx, offered)
	if err == nil || consumererror.IsPermanent(err) {
		group.HandOn()
	} else {
		group.Drop()
	}
	done(time.Now(), err)
	return err
}
