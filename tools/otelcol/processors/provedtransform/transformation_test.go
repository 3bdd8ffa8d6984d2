package provedtransform

import (
	"context"
	"testing"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"
)

const (
	fails   = `set(log.attributes["x"], ParseJSON("no JSON"))`
	isError = `Len(ParseJSON("no JSON")) > 0`
	done    = `set(log.attributes["done"], "yes")`
	instead = `set(log.body, "withheld")`
)

func made(t *testing.T, steps, otherwise []Step) *transformation {
	t.Helper()
	config := &Config{Mark: "mark", Failed: "failed", Steps: steps, Otherwise: otherwise}
	if err := config.Validate(); err != nil {
		t.Fatal(err)
	}
	one, err := newTransformation(config, component.TelemetrySettings{Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	return one
}

func after(one *transformation) plog.LogRecord {
	logs := plog.NewLogs()
	record := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.Body().SetStr("secret")
	record.Attributes().PutStr("mark", "true")
	_, _ = one.process(context.Background(), logs)
	return record
}

func expect(t *testing.T, record plog.LogRecord, mark, failed, done, body string) {
	t.Helper()
	for name, wanted := range map[string]string{"mark": mark, "failed": failed, "done": done} {
		found := ""
		if value, ok := record.Attributes().Get(name); ok {
			found = value.AsString()
		}
		if found != wanted {
			t.Errorf("%s is %q, and should be %q", name, found, wanted)
		}
	}
	if found := record.Body().AsString(); found != body {
		t.Errorf("the body is %q, and should be %q", found, body)
	}
}

func TestARecordOnWhichAllRunsIsMarked(t *testing.T) {
	steps := []Step{{Name: "a", Statements: []string{done}}, {Name: "b", Condition: `log.body == ""`, Statements: []string{fails}}}
	expect(t, after(made(t, steps, []Step{{Statements: []string{instead}}})), "true", "", "yes", "secret")
}

func TestWhatFailsStopsTheRestAndOthersRunInstead(t *testing.T) {
	otherwise := []Step{{Statements: []string{instead}}}
	steps := []Step{{Name: "a", Statements: []string{fails, done}}, {Name: "b", Statements: []string{done}}}
	expect(t, after(made(t, steps, otherwise)), "true", "a", "", "withheld")
	steps = []Step{{Name: "a", Condition: isError, Statements: []string{done}}}
	expect(t, after(made(t, steps, otherwise)), "true", "a", "", "withheld")
	steps = []Step{{Name: "a", Statements: []string{done + " where " + isError}}}
	expect(t, after(made(t, steps, otherwise)), "true", "a", "", "withheld")
}

func TestARecordIsNotMarkedIfTheOthersFailToo(t *testing.T) {
	otherwise := []Step{{Statements: []string{instead}}, {Statements: []string{fails}}}
	expect(t, after(made(t, []Step{{Name: "a", Statements: []string{fails}}}, otherwise)), "", "a", "", "withheld")
}

func TestAnAttemptMayFail(t *testing.T) {
	steps := []Step{{Name: "a", Statements: []string{fails, done}, Attempts: []int{0}}}
	expect(t, after(made(t, steps, nil)), "true", "", "yes", "secret")
}

func TestAPanicIsAFailure(t *testing.T) {
	one := made(t, []Step{{Name: "a", Statements: []string{done}}}, []Step{{Statements: []string{instead}}})
	one.steps[0].statements = []statement{{}} // of which nothing can be asked
	expect(t, after(one), "true", "a", "", "withheld")
	one.otherwise[0].statements = []statement{{}}
	expect(t, after(one), "", "a", "", "secret")
}

func TestEachStepHasACacheOfItsOwn(t *testing.T) {
	steps := []Step{
		{Name: "a", Statements: []string{`set(log.cache["x"], "y")`}},
		{Name: "b", Statements: []string{done + ` where log.cache["x"] != nil`}},
	}
	expect(t, after(made(t, steps, nil)), "true", "", "", "secret")
}

func TestWhatCannotBeReadIsRefused(t *testing.T) {
	for _, config := range []Config{
		{},
		{Mark: "a", Failed: "a"},
		{Mark: "a", Failed: "b", Steps: []Step{{Statements: []string{"set(log.body"}}}},
		{Mark: "a", Failed: "b", Otherwise: []Step{{Condition: "log.nothing == 1"}}},
	} {
		if config.Validate() == nil {
			t.Errorf("%v is taken", config)
		}
	}
}
