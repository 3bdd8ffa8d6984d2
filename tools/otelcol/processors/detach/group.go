package detach

import (
	"context"
	"sync"
)

// Each of these waits for the disk, for which a thread of the system is kept.
const atATime = 32

type groupKey struct{}

// Group is what of one request is handed on by detach processors, side by side: a queue on disk is written with a wait
// for the disk, and a request may be for very many of them.
type Group struct {
	places  chan struct{}
	running sync.WaitGroup
}

// NewGroup begins one. What is consumed with the context is handed on side by side, and done once Wait has returned.
func NewGroup(ctx context.Context) (context.Context, *Group) {
	group := &Group{places: make(chan struct{}, atATime)}
	return context.WithValue(ctx, groupKey{}, group), group
}

// Wait returns when everything was handed on.
func (g *Group) Wait() {
	g.running.Wait()
}

func (g *Group) run(task func()) {
	g.places <- struct{}{}
	g.running.Go(func() {
		defer func() { <-g.places }()
		task()
	})
}
