// Package refusals is an extension for the clients of exporters: what a store, or what stands before it, refuses because
// of who asks, or because of its own state, is offered again.
//
// Upstream's exporters for OTLP give up whatever is answered with anything but a few codes: for a password that was
// changed in the store before it was changed here, a proxy without its backend, a path that is mistyped. What is in the
// way of all records alike is for a person to mend, and records wait for that. What is in the way of some alone stays
// final: they would be refused for ever, and hold up those behind them; and whoever can bring such records about would
// stop everybody's.
//
// Which of them it is, a code does not say: a firewall answers 403 to a word that it does not like, and may shut out
// whoever said it for a while. So what was refused before is only offered again once the store has taken a request
// without records, or has looked into it. What is refused all the same, some times over, is refused for what it is.
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
	// rounds is how often records are refused while the store takes others, until that is final. One of several stores
	// behind a balancer may be broken.
	rounds = 5
	// most is how many requests are remembered: an exporter has two on their way.
	most  = 64
	often = time.Minute
)

// NewFactory makes extensions of type retried_refusals.
func NewFactory() extension.Factory {
	return extension.NewFactory(
		component.MustNewType("retried_refusals"),
		func() component.Config { return &struct{}{} },
		func(_ context.Context, settings extension.Settings, _ component.Config) (extension.Extension, error) {
			return &refusals{log: settings.Logger}, nil
		},
		component.StabilityLevelBeta,
	)
}

type refusals struct {
	component.StartFunc
	component.ShutdownFunc
	log *zap.Logger
}

var (
	_ extensionmiddleware.HTTPClient = (*refusals)(nil)
	_ extensionmiddleware.GRPCClient = (*refusals)(nil)
)

// memory is what is known of the requests of one client.
type memory struct {
	log     *zap.Logger
	lock    sync.Mutex
	refused map[any]int
	waits   time.Time
	final   time.Time
}

func newMemory(log *zap.Logger) *memory {
	return &memory{log: log, refused: map[any]int{}}
}

// isEmpty says that nothing was refused lately, so that nobody need know which request this is.
func (m *memory) isEmpty() bool {
	m.lock.Lock()
	defer m.lock.Unlock()
	return len(m.refused) == 0
}

// knows says whether a request was refused before.
func (m *memory) knows(request any) bool {
	m.lock.Lock()
	defer m.lock.Unlock()
	_, found := m.refused[request]
	return found
}

// forget is for what was taken, or is not offered again.
func (m *memory) forget(request any) {
	m.lock.Lock()
	defer m.lock.Unlock()
	delete(m.refused, request)
}

// isFinal notes that a request was refused, and says whether that is final.
func (m *memory) isFinal(request any, store, answer string) bool {
	m.lock.Lock()
	defer m.lock.Unlock()
	before, known := m.refused[request]
	if !known {
		for other := range m.refused {
			if len(m.refused) < most {
				break
			}
			delete(m.refused, other)
		}
		m.refused[request] = 0
		return false
	}
	if before+1 < rounds {
		m.refused[request] = before + 1
		return false
	}
	delete(m.refused, request)
	m.tell(&m.final, "A store refuses some records, and takes others: these are given up", store, answer)
	return true
}

// wait says once in a while what a store answers: an exporter logs each of its attempts, with the code that it gets.
func (m *memory) wait(store, answer string) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.tell(&m.waits, "A store refuses whatever it is sent: records wait", store, answer)
}

func (m *memory) tell(last *time.Time, what, store, answer string) {
	if time.Since(*last) >= often {
		*last = time.Now()
		m.log.Warn(what, zap.String("store", store), zap.String("answer", answer))
	}
}
