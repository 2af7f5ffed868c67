package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/terminal"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/policy/wait"
	"hermes-reconcile/rego/process"
)

// watchInterval is the time from one drawing to the next.
const watchInterval = 2 * time.Second

// watchStatus draws the table again and again until q, ctrl-c or the end of the
// context. It needs a terminal on both sides.
func watchStatus(cmd *cobra.Command, c config.Config, f statusFlags, names []string) error {
	in, out := terminal.Of(cmd.InOrStdin()), terminal.Of(cmd.OutOrStdout())
	if in == nil || out == nil {
		return errors.New("--watch needs a terminal; elsewhere, call status again and again, or use --textfile")
	}
	restore, err := readKeys(in)
	if err != nil {
		return cli.Failed(fmt.Errorf("--watch: %w", err))
	}
	defer restore()
	rules := &process.Watched{Rules: world.Rules(c), Directories: c.Policy}
	defer rules.Close()
	ctx, cancel := context.WithCancel(wait.With(cmd.Context(), nil)) // the screen is its own
	defer cancel()
	go waitForQuit(in, cancel)
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		d, _, err := currentStatus(ctx, cmd, c, rules, names)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		screen, _ := f.screen(out)
		_, height, _ := term.GetSize(int(out.Fd())) // an unknown height cuts nothing
		if _, err := out.Write(screen.Frame(d, watchInterval, height)); err != nil {
			return cli.Failed(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// readKeys makes single keys readable. Ctrl-c keeps its meaning.
func readKeys(in *os.File) (restore func(), err error) {
	fd := int(in.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	now := *before
	now.Lflag &^= unix.ICANON | unix.ECHO
	now.Cc[unix.VMIN], now.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &now); err != nil {
		return nil, err
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) }, nil
}

// waitForQuit calls quit when a key is typed that ends the program. Nothing interrupts its
// reading.
func waitForQuit(in io.Reader, quit func()) {
	var key [1]byte
	for {
		n, err := in.Read(key[:])
		if err != nil {
			return
		}
		if n == 1 && strings.IndexByte("qQ\x03\x04", key[0]) >= 0 { // ctrl-c and ctrl-d, where they are plain keys
			quit()
			return
		}
	}
}
