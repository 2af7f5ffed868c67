package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
)

// A signal that asks this program to end cancels its context. Some work does not look at a
// context, such as a builtin of Rego, an open or a write that blocks. So what has not ended
// shortly afterwards is ended, well within a second.
const (
	graceAfterSignal = 700 * time.Millisecond
	graceForMessage  = 100 * time.Millisecond
)

// moreGrace is added by a watch, which gives back the lease of the volume when its gateways have
// ended.
var moreGrace atomic.Int64 // a time.Duration

const endedBySignal = "hermes-reconcile: ended by a signal before it was done"

// untilSignal returns a context that ends with the first signal that asks this program to
// end. The second one ends the program at once.
func untilSignal() context.Context {
	// Go answers this signal with the stacks of all goroutines, which do not belong in a log.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGQUIT)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	context.AfterFunc(ctx, func() {
		stop()
		time.Sleep(graceAfterSignal + time.Duration(moreGrace.Load()))
		go func() {
			time.Sleep(graceForMessage)
			os.Exit(cli.ExitProfile)
		}()
		fmt.Fprintln(os.Stderr, endedBySignal)
		os.Exit(cli.ExitProfile)
	})
	return ctx
}
