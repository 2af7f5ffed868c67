package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego/process"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// watchInterval is the time from one drawing to the next.
const watchInterval = 2 * time.Second

// unchangedRules compiles the rules again only when a file of the operator's changed.
type unchangedRules struct {
	*process.Rules
	directories []string
	stamp       string
	present     engine.Evaluator
}

func (r *unchangedRules) LoadOrFallBack(ctx context.Context) (engine.Evaluator, error) {
	stamp := r.stampOf()
	if r.present != nil && stamp == r.stamp {
		return r.present, nil
	}
	var err error
	r.present, err = r.Rules.LoadOrFallBack(ctx)
	r.stamp = stamp
	return r.present, err
}

// stampOf changes whenever a file in the operator's directories does.
func (r *unchangedRules) stampOf() string {
	var stamp strings.Builder
	for _, dir := range r.directories {
		_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				fmt.Fprintln(&stamp, path, err)
				return nil
			}
			if info, err := entry.Info(); err == nil {
				fmt.Fprintln(&stamp, path, info.Size(), info.ModTime())
			}
			return nil
		})
	}
	return stamp.String()
}

// watchStatus draws the table again and again until q, ctrl-c or the end of the
// context. It needs a terminal on both sides.
func watchStatus(cmd *cobra.Command, c config.Config, names []string) error {
	rules := &unchangedRules{Rules: newRules(c), directories: c.Policy}
	defer rules.Close()
	in, out := terminalOf(cmd.InOrStdin()), terminalOf(cmd.OutOrStdout())
	if in == nil || out == nil {
		return errors.New("--watch needs a terminal; elsewhere, call status again and again, or use --textfile")
	}
	restore, err := readKeys(in)
	if err != nil {
		return &exitError{exitProfile, fmt.Errorf("--watch: %w", err)}
	}
	defer restore()
	keys := make(chan byte)
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	go sendKeys(ctx, in, keys)
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		frame, err := watchFrame(ctx, cmd, c, rules, names, out)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := out.Write(frame); err != nil {
			return &exitError{exitProfile, err}
		}
		if !waitForTick(ctx, tick.C, keys) {
			return nil
		}
	}
}

// waitForTick reports whether it is time to draw again, not to end.
func waitForTick(ctx context.Context, tick <-chan time.Time, keys <-chan byte) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick:
			return true
		case key := <-keys:
			if strings.IndexByte("qQ\x03\x04", key) >= 0 { // ctrl-c and ctrl-d, where they are plain keys
				return false
			}
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

// sendKeys sends each key that is typed. It may outlive ctx by one key, because nothing
// interrupts its reading.
func sendKeys(ctx context.Context, in io.Reader, keys chan<- byte) {
	var key [1]byte
	for {
		n, err := in.Read(key[:])
		if err != nil {
			return
		}
		if n == 0 {
			continue
		}
		select {
		case keys <- key[0]:
		case <-ctx.Done():
			return
		}
	}
}

// watchFrame is one drawing. It starts at the top left and ends with the terminal.
func watchFrame(ctx context.Context, cmd *cobra.Command, c config.Config, rules reconcile.Rules, names []string, out *os.File) ([]byte, error) {
	d, _, err := currentStatus(ctx, cmd, c, rules, names)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := view.Status(&text, d); err != nil {
		return nil, err
	}
	_, height, err := term.GetSize(int(out.Fd()))
	if err != nil {
		height = 0
	}
	var frame bytes.Buffer
	frame.WriteString("\x1b[H\x1b[2J")
	fmt.Fprintf(&frame, "%s, every %s, q to end\n\n", d.Time, watchInterval)
	lines := strings.SplitAfter(strings.TrimSuffix(policy.Clean(text.String()), "\n"), "\n")
	if most := height - 4; height > 4 && len(lines) > most {
		fmt.Fprintf(&frame, "%s… and %d more lines\n", strings.Join(lines[:most], ""), len(lines)-most)
		return frame.Bytes(), nil
	}
	frame.WriteString(strings.Join(lines, "") + "\n")
	return frame.Bytes(), nil
}
