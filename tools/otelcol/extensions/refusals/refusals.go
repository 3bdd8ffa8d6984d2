// Package refusals is an extension for the clients of exporters whose records must not be lost: what a store, or what
// stands before it, refuses because of who asks, or because of its own state, is offered again.
//
// Upstream's exporters for OTLP give up whatever is answered with anything but a few codes: for a password that was
// changed in the store before it was changed here, a proxy without its backend, a path that is mistyped. What is in the
// way of all records alike is for a person to mend, and records wait for that. What is in the way of some alone stays
// final: they would be refused for ever, and hold up those behind them; and whoever can bring such records about would
// stop everybody's.
//
// Which of them it is, a code does not say: a firewall answers 403 to a word that it does not like. So the store is sent
// a request without records. Where it takes that, or looks into it, the records are to blame, unless it takes them when
// they are offered again at once, as one of several stores behind a balancer would.
package refusals

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensionmiddleware"
	"go.uber.org/zap"
)

const (
	offers  = 3
	between = time.Second
	often   = time.Minute
)

// NewFactory makes extensions of type retried_refusals.
func NewFactory() extension.Factory {
	return extension.NewFactory(
		component.MustNewType("retried_refusals"),
		func() component.Config { return &struct{}{} },
		func(_ context.Context, settings extension.Settings, _ component.Config) (extension.Extension, error) {
			return newRefusals(settings.Logger), nil
		},
		component.StabilityLevelBeta,
	)
}

func newRefusals(log *zap.Logger) *refusals {
	return &refusals{log: log, pause: between, said: map[[2]string]time.Time{}}
}

type refusals struct {
	component.StartFunc
	component.ShutdownFunc
	log   *zap.Logger
	pause time.Duration
	lock  sync.Mutex
	said  map[[2]string]time.Time
}

var (
	_ extensionmiddleware.HTTPClient = (*refusals)(nil)
	_ extensionmiddleware.GRPCClient = (*refusals)(nil)
)

// attempt is one request that was refused, and how to go on with it.
type attempt struct {
	store  string
	answer func() string
	// isRefused sends a request without records, and says whether it is refused as well.
	isRefused func() bool
	// again sends the records once more, and says whether they are refused.
	again func() bool
}

// isForAll says whether a store refuses everything, so that records had better wait; and that they are not refused any
// more, which is for the caller to know.
func (r *refusals) isForAll(ctx context.Context, a attempt) bool {
	for range offers - 1 {
		if a.isRefused() {
			r.tell(a, "A store refuses whatever it is sent: records wait")
			return true
		}
		select {
		case <-ctx.Done():
			return true
		case <-time.After(r.pause):
		}
		if !a.again() {
			return false
		}
	}
	r.tell(a, "A store refuses some records, and takes others: these are given up")
	return false
}

// tell logs what a store answers, once in a while: an exporter logs each of its attempts, with the code that it gets.
func (r *refusals) tell(a attempt, what string) {
	r.lock.Lock()
	defer r.lock.Unlock()
	key := [2]string{a.store, what}
	if time.Since(r.said[key]) < often {
		return
	}
	r.said[key] = time.Now()
	r.log.Warn(what, zap.String("store", a.store), zap.String("answer", a.answer()))
}
