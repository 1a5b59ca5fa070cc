package language

import (
	"runtime"
	"runtime/debug"
	"sync"
)

// roomForGarbage is how many bytes there may be of it, beside what is in use.
const roomForGarbage = 192 << 20

var loads struct {
	sync.Mutex
	running, percent int
	limit            int64
}

// RoomForGarbage makes the collector wait until done is called: to read a large configuration makes much garbage in a short time,
// and half of that time would go into collecting it. Beyond its room garbage is collected as always.
func RoomForGarbage() (done func()) {
	loads.Lock()
	defer loads.Unlock()
	if loads.running++; loads.running == 1 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		loads.percent, loads.limit = debug.SetGCPercent(400), debug.SetMemoryLimit(int64(m.Sys-m.HeapReleased)+roomForGarbage)
	}
	return func() {
		loads.Lock()
		defer loads.Unlock()
		if loads.running--; loads.running == 0 {
			debug.SetGCPercent(loads.percent)
			debug.SetMemoryLimit(loads.limit)
		}
	}
}
