// Package provedtransform is a transform processor that says of each record whether all of its statements ran.
//
// Upstream's transform processor has two answers to a statement that fails. It skips the statement, and the record goes
// on without what the statement should have taken out; or it refuses the batch, which then is sent again for ever. Here
// the record gets no mark, and other statements run in place of those that are left. What stands behind this processor
// lets nothing pass that has no mark.
package provedtransform

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processorhelper"
	"go.uber.org/zap"
)

// Step is a group of statements.
type Step struct {
	// Name is what the record says where this is the step that failed.
	Name string `mapstructure:"name"`
	// Condition must hold for the statements to run; without one, they run on all records.
	Condition  string   `mapstructure:"condition"`
	Statements []string `mapstructure:"statements"`
	// Attempts are places of statements, from 0, that may fail: what then stays as it was tells the rest.
	Attempts []int `mapstructure:"attempts"`
}

// Config is what users set.
type Config struct {
	// Mark is the attribute that is "true" on each record of which all that had to run did, and empty on all others.
	Mark string `mapstructure:"mark"`
	// Failed is the attribute that names the step in which something failed.
	Failed string `mapstructure:"failed"`
	// Steps run in this order, up to the first failure.
	Steps []Step `mapstructure:"steps"`
	// Otherwise runs on records on which one of these failed, instead of those that are left. If all of it runs, the
	// record is marked after all.
	Otherwise []Step `mapstructure:"otherwise"`
}

// Validate is called when the configuration is read.
func (c *Config) Validate() error {
	if c.Mark == "" || c.Failed == "" || c.Mark == c.Failed {
		return errors.New("mark and failed must be set, and differ")
	}
	_, err := newTransformation(c, component.TelemetrySettings{Logger: zap.NewNop()})
	return err
}

// NewFactory makes processors of type proved_transform, for logs.
func NewFactory() processor.Factory {
	return processor.NewFactory(
		component.MustNewType("proved_transform"),
		func() component.Config { return &Config{} },
		processor.WithLogs(newLogs, component.StabilityLevelBeta),
	)
}

func newLogs(
	ctx context.Context, set processor.Settings, config component.Config, next consumer.Logs,
) (processor.Logs, error) {
	made, err := newTransformation(config.(*Config), set.TelemetrySettings)
	if err != nil {
		return nil, fmt.Errorf("proved_transform: %w", err)
	}
	return processorhelper.NewLogs(
		ctx, set, config, next, made.process,
		processorhelper.WithCapabilities(consumer.Capabilities{MutatesData: true}),
	)
}
