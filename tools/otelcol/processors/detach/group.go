package detach

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
)

// Each of these waits for the disk, for which a thread of the system is kept.
const atATime = 32

type groupKey struct{}

// Group is what of one request is to be handed on by detach processors, side by side: a queue on disk is written with a
// wait for the disk, and a request may be for very many of them.
//
// It waits for what else becomes of the request: one that is offered again would be handed on again.
type Group struct {
	mutex sync.Mutex
	tasks []task
}

type task struct {
	logs plog.Logs
	hand func(plog.Logs)
}

// NewGroup begins one. What is consumed with the context is kept until HandOn or Drop is called, once and as the last.
func NewGroup(ctx context.Context) (context.Context, *Group) {
	group := &Group{}
	return context.WithValue(ctx, groupKey{}, group), group
}

// HandOn returns when everything was handed on.
func (g *Group) HandOn() {
	places := make(chan struct{}, atATime)
	var running sync.WaitGroup
	for _, each := range g.take() {
		places <- struct{}{}
		running.Go(func() {
			defer func() { <-places }()
			defer pref.UnrefLogs(each.logs)
			each.hand(each.logs)
		})
	}
	running.Wait()
}

// Drop forgets everything: it will be offered again.
func (g *Group) Drop() {
	for _, each := range g.take() {
		pref.UnrefLogs(each.logs)
	}
}

func (g *Group) add(logs plog.Logs, hand func(plog.Logs)) {
	pref.RefLogs(logs)
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.tasks = append(g.tasks, task{logs: logs, hand: hand})
}

func (g *Group) take() []task {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	taken := g.tasks
	g.tasks = nil
	return taken
}
