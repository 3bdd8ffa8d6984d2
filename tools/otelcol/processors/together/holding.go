package together

import (
	"sync"
	"time"
)

const (
	// patience is how long a disk may take without anybody being held up.
	patience = time.Second
	// offeredAgain is within which time a receiver of files tries again: half a minute, and half as much by chance.
	offeredAgain = time.Minute
)

// holding knows whether a receiver may hold what is not taken yet: it waits, or has failed and will try again. One that
// ends then takes it for delivered.
type holding struct {
	mutex  sync.Mutex
	begun  map[int]time.Time
	number int
	failed time.Time
}

// begin notes that something is offered; the function that it gives, what came of it.
func (h *holding) begin(now time.Time) func(time.Time, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.number++
	number := h.number
	h.begun[number] = now
	return func(now time.Time, err error) {
		h.mutex.Lock()
		defer h.mutex.Unlock()
		delete(h.begun, number)
		if err != nil {
			h.failed = now
		}
	}
}

// isHeldUp errs on the side of yes: what has failed may have been taken since.
func (h *holding) isHeldUp(now time.Time) bool {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for _, since := range h.begun {
		if now.Sub(since) > patience {
			return true
		}
	}
	return !h.failed.IsZero() && now.Sub(h.failed) < offeredAgain
}
