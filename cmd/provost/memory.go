package main

import "runtime"

// ballastBytes is reserved and never touched, so that it takes address space and no
// memory.
const ballastBytes = 32 << 20

// ballast keeps the collector from running all the time. It runs whenever the heap has
// doubled, and a server that serves small requests holds so little (some 5 MiB) that
// this happens dozens of times a second: a sixth of its time. With the ballast counted
// in, it runs after at least that many bytes were allocated, which is also the most
// that the process grows by; a large heap is collected as before.
func ballast() (release func()) {
	b := make([]byte, ballastBytes)
	return func() { runtime.KeepAlive(b) }
}
