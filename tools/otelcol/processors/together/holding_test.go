package together

import (
	"errors"
	"testing"
	"time"
)

func TestWhatHoldsAReceiverUpIsWhatTakesLongOrHasJustFailed(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	held := &holding{begun: make(map[int]time.Time)}
	expect := func(expected bool, when string) {
		t.Helper()
		if held.isHeldUp(now) != expected {
			t.Fatalf("%s: held up is %v", when, !expected)
		}
	}
	expect(false, "at first")
	first := held.begin(now)
	second := held.begin(now)
	expect(false, "as something is offered")
	now = now.Add(2 * patience)
	expect(true, "as it takes long")
	first(now, nil)
	expect(true, "as another one takes long")
	second(now, nil)
	expect(false, "as all is taken")
	held.begin(now)(now, errors.New("the disk is full"))
	expect(true, "as it will be offered again")
	held.begin(now)(now, nil)
	expect(true, "as another one is taken")
	now = now.Add(offeredAgain)
	expect(false, "as it was offered again, and has not failed")
}
