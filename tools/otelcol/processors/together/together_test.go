package together

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/metric/noop"

	"audit-operator.dev/tools/otelcol/processors/detach"
)

func one(t *testing.T, factory processor.Factory, take consumer.ConsumeLogsFunc) consumer.Logs {
	t.Helper()
	next, err := consumer.NewLogs(take)
	if err != nil {
		t.Fatal(err)
	}
	made, err := factory.CreateLogs(
		context.Background(), settings(factory), factory.CreateDefaultConfig(), next,
	)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func settings(factory processor.Factory) processor.Settings {
	return processor.Settings{
		ID:                component.NewID(factory.Type()),
		TelemetrySettings: component.TelemetrySettings{MeterProvider: noop.NewMeterProvider()},
	}
}

func event() plog.Logs {
	logs := plog.NewLogs()
	record := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.Body().SetStr("event")
	return logs
}

func TestItReturnsOnceWhatIsDetachedBehindItHasEverything(t *testing.T) {
	room := make(chan struct{})
	slow := one(t, detach.NewFactory(), func(context.Context, plog.Logs) error {
		<-room
		return errors.New("the queue is full")
	})
	answer := make(chan error, 1)
	whole := one(t, NewFactory(), slow.ConsumeLogs)
	go func() { answer <- whole.ConsumeLogs(context.Background(), event()) }()
	select {
	case <-answer:
		t.Fatal("it has returned before the queue has")
	case <-time.After(50 * time.Millisecond):
	}
	close(room)
	if err := <-answer; err != nil {
		t.Fatal(err)
	}
}

func TestWhatFailsCanBeOfferedAgainAsItWas(t *testing.T) {
	seen := 0
	whole := one(t, NewFactory(), func(_ context.Context, logs plog.Logs) error {
		seen += logs.LogRecordCount()
		logs.ResourceLogs().RemoveIf(func(plog.ResourceLogs) bool { return true })
		return errors.New("the disk is full")
	})
	logs := event()
	for range 2 {
		if err := whole.ConsumeLogs(context.Background(), logs); err == nil {
			t.Fatal("nobody would try again")
		}
	}
	if seen != 2 {
		t.Fatalf("%d of 2 were offered", seen)
	}
}

func TestWhatIsDetachedGetsOnceWhatIsOfferedUntilItIsTaken(t *testing.T) {
	for _, each := range []struct {
		name    string
		answers []error
	}{
		{"taken at last", []error{errors.New("full"), errors.New("full"), nil}},
		{"given up", []error{errors.New("full"), consumererror.NewPermanent(errors.New("too large"))}},
	} {
		t.Run(each.name, func(t *testing.T) {
			got, offers := 0, 0
			loose := one(t, detach.NewFactory(), func(_ context.Context, logs plog.Logs) error {
				if offers != len(each.answers) {
					t.Error("it is handed on, and will be offered again")
				}
				got += logs.LogRecordCount()
				return nil
			})
			whole := one(t, NewFactory(), func(ctx context.Context, logs plog.Logs) error {
				err := each.answers[offers]
				offers++
				return errors.Join(loose.ConsumeLogs(ctx, logs), err)
			})
			logs := event()
			for range each.answers {
				_ = whole.ConsumeLogs(context.Background(), logs)
			}
			if got != 1 {
				t.Fatalf("it has %d of 1", got)
			}
		})
	}
}
