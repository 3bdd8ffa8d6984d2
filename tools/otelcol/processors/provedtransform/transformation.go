package provedtransform

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottllog"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/ottlfuncs"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"
)

const proved = "true"

type record = *ottllog.TransformContext

type statement struct {
	*ottl.Statement[record]
	attempt bool
}

type step struct {
	name       string
	condition  *ottl.Condition[record]
	statements []statement
	said       *sync.Once
}

type transformation struct {
	mark, failed     string
	steps, otherwise []step
	logger           *zap.Logger
}

func newTransformation(c *Config, set component.TelemetrySettings) (*transformation, error) {
	parser, err := ottllog.NewParser(ottlfuncs.StandardFuncs[record](), set, ottllog.EnablePathContextNames())
	if err != nil {
		return nil, err
	}
	steps, err := parsed(parser, c.Steps)
	if err != nil {
		return nil, err
	}
	otherwise, err := parsed(parser, c.Otherwise)
	if err != nil {
		return nil, err
	}
	return &transformation{c.Mark, c.Failed, steps, otherwise, set.Logger}, nil
}

func parsed(parser ottl.Parser[record], steps []Step) ([]step, error) {
	made := make([]step, 0, len(steps))
	for number, each := range steps {
		one := step{name: each.Name, said: &sync.Once{}}
		if each.Condition != "" {
			condition, err := parser.ParseCondition(each.Condition)
			if err != nil {
				return nil, fmt.Errorf("condition of step %d, %s: %w", number, each.Name, err)
			}
			one.condition = condition
		}
		for place, text := range each.Statements {
			made, err := parser.ParseStatement(text)
			if err != nil {
				return nil, fmt.Errorf("statement %d of step %d, %s: %w", place, number, each.Name, err)
			}
			one.statements = append(one.statements, statement{made, slices.Contains(each.Attempts, place)})
		}
		made = append(made, one)
	}
	return made, nil
}

func (t *transformation) process(ctx context.Context, logs plog.Logs) (plog.Logs, error) {
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, each := range scope.LogRecords().All() {
				t.transform(ctx, resource, scope, each)
			}
		}
	}
	return logs, nil
}

func (t *transformation) transform(
	ctx context.Context, resource plog.ResourceLogs, scope plog.ScopeLogs, one plog.LogRecord,
) {
	failed := t.run(ctx, resource, scope, one, t.steps)
	if failed != nil {
		one.Attributes().PutStr(t.mark, "")
		one.Attributes().PutStr(t.failed, failed.name)
		if t.run(ctx, resource, scope, one, t.otherwise) != nil {
			return
		}
	}
	one.Attributes().PutStr(t.mark, proved)
}

// run returns the step in which something failed, or nil. A panic is a failure like any other: it would end the
// collector, which would read the same record again after its next start.
func (t *transformation) run(
	ctx context.Context, resource plog.ResourceLogs, scope plog.ScopeLogs, one plog.LogRecord, steps []step,
) (failed *step) {
	var current *step
	defer func() {
		if recover() != nil {
			t.say(current, "panicked")
			failed = current
		}
	}()
	tCtx := ottllog.NewTransformContextPtr(resource, scope, one)
	defer func() { tCtx.Close() }()
	for number := range steps {
		current = &steps[number]
		if current.condition != nil {
			holds, err := current.condition.Eval(ctx, tCtx)
			if err != nil {
				t.say(current, current.condition.String())
				return current
			}
			if !holds {
				continue
			}
		}
		for place := range current.statements {
			each := &current.statements[place]
			if _, _, err := each.Execute(ctx, tCtx); err != nil && !each.attempt {
				t.say(current, each.String())
				return current
			}
		}
		// As in upstream's processor, each group of statements has a cache of its own.
		tCtx.Close()
		tCtx = ottllog.NewTransformContextPtr(resource, scope, one)
	}
	return nil
}

// say writes once for each step what failed, and not why: that may hold a part of the record.
func (t *transformation) say(failed *step, what string) {
	failed.said.Do(func() {
		t.logger.Warn(
			"a statement failed; the record loses all that it may concern, and so do further ones, without a line each",
			zap.String("step", failed.name), zap.String("what", what),
		)
	})
}
