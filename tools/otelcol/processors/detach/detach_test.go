package detach

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
)

// before is a detach processor before what `take` stands for.
func before(t *testing.T, take consumer.ConsumeLogsFunc) consumer.Logs {
	t.Helper()
	next, err := consumer.NewLogs(take)
	if err != nil {
		t.Fatal(err)
	}
	return &detached{next: next}
}

// isWaiting says whether something has not returned, for as long as a test can wait for nothing to happen.
func isWaiting(returned <-chan struct{}) bool {
	select {
	case <-returned:
		return false
	case <-time.After(50 * time.Millisecond):
		return true
	}
}

func started(call func()) <-chan struct{} {
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		call()
	}()
	return returned
}

func TestItReturnsOnceTheQueueHasWhatItWasGiven(t *testing.T) {
	room := make(chan struct{})
	processor := before(t, func(context.Context, plog.Logs) error {
		<-room
		return nil
	})
	returned := started(func() { _ = processor.ConsumeLogs(context.Background(), plog.NewLogs()) })
	if !isWaiting(returned) {
		t.Fatal("it has returned before the queue has")
	}
	close(room)
	<-returned
}

func TestOfAGroupItReturnsAtOnceAndHandingOnOnceTheQueueHasIt(t *testing.T) {
	var begun atomic.Int64
	room := make(chan struct{})
	processor := before(t, func(context.Context, plog.Logs) error {
		begun.Add(1)
		<-room
		return nil
	})
	ctx, group := NewGroup(context.Background())
	for range 3 {
		if err := processor.ConsumeLogs(ctx, plog.NewLogs()); err != nil {
			t.Fatal(err)
		}
	}
	if begun.Load() > 0 {
		t.Fatal("something is handed on that may be offered again")
	}
	returned := started(group.HandOn)
	if !isWaiting(returned) {
		t.Fatal("the group has ended before the queue has what it was given")
	}
	close(room)
	<-returned
	if begun.Load() != 3 {
		t.Fatalf("%d of 3 were handed on", begun.Load())
	}
}

func TestWhatIsDroppedIsNotHandedOn(t *testing.T) {
	processor := before(t, func(context.Context, plog.Logs) error {
		t.Error("it is handed on")
		return nil
	})
	ctx, group := NewGroup(context.Background())
	_ = processor.ConsumeLogs(ctx, plog.NewLogs())
	group.Drop()
	group.HandOn()
}

func TestManyAreHandedOnSideBySideButNoMoreThanThereArePlaces(t *testing.T) {
	var running, most atomic.Int64
	begun, room := make(chan struct{}, 2*atATime), make(chan struct{})
	processor := before(t, func(context.Context, plog.Logs) error {
		now := running.Add(1)
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
		}
		begun <- struct{}{}
		<-room
		running.Add(-1)
		return nil
	})
	ctx, group := NewGroup(context.Background())
	for range 2 * atATime {
		_ = processor.ConsumeLogs(ctx, plog.NewLogs())
	}
	handed := started(group.HandOn)
	for range atATime {
		<-begun
	}
	if !isWaiting(handed) {
		t.Fatal("there is more room than there are places")
	}
	close(room)
	<-handed
	if most.Load() > atATime || len(begun) != atATime {
		t.Fatalf("%d at a time, and %d more", most.Load(), len(begun))
	}
}

func TestNoErrorComesBack(t *testing.T) {
	processor := before(t, func(context.Context, plog.Logs) error { return errors.New("the queue is full") })
	if err := processor.ConsumeLogs(context.Background(), plog.NewLogs()); err != nil {
		t.Fatal(err)
	}
	ctx, group := NewGroup(context.Background())
	if err := processor.ConsumeLogs(ctx, plog.NewLogs()); err != nil {
		t.Fatal(err)
	}
	group.HandOn()
}

func TestWhoHangsUpTakesNothingFromTheQueue(t *testing.T) {
	processor := before(t, func(ctx context.Context, _ plog.Logs) error {
		if _, limited := ctx.Deadline(); limited || ctx.Err() != nil {
			t.Error("the queue is told that nobody waits")
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	cancel()
	_ = processor.ConsumeLogs(ctx, plog.NewLogs())
	ctx, group := NewGroup(ctx)
	_ = processor.ConsumeLogs(ctx, plog.NewLogs())
	group.HandOn()
}

func TestNothingIsChangedHere(t *testing.T) {
	processor := before(t, func(context.Context, plog.Logs) error { return nil })
	if processor.Capabilities().MutatesData {
		t.Fatal("others would get copies for nothing")
	}
}
