package world

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/decisionlog"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/volume"
	"hermes-reconcile/policy/trust"
)

// DecisionLog returns what writes the decision log of a configuration, which the program of a
// version decides; nil when there is none. Console is standard output, or nil for a command
// that prints something else there.
func DecisionLog(c config.Config, version string, console io.Writer, log *slog.Logger) func(context.Context, ledger.Pass, engine.Evaluator) {
	l := decisionlog.Log{RunDir: c.RunDir, Version: version, Masked: c.DecisionLog.Input == "masked"}
	if c.DecisionLog.Console && console != nil {
		l.Sinks = append(l.Sinks, func(events [][]byte) (int, error) {
			_, err := console.Write(append(bytes.Join(events, []byte("\n")), '\n'))
			return 0, err
		})
	}
	if path := c.DecisionLog.File; path != "" {
		l.Sinks = append(l.Sinks, func(events [][]byte) (int, error) {
			err := trust.Directory(filepath.Dir(path), trust.Only(os.Geteuid()))
			if err == nil {
				err = volume.AppendFile(path, append(bytes.Join(events, []byte("\n")), '\n'), int64(c.DecisionLog.FileSize))
			}
			if err != nil {
				return len(events), err
			}
			return 0, nil
		})
	}
	if c.DecisionLog.URL != "" {
		l.Sinks = append(l.Sinks, DecisionBuffer(c).Append)
	}
	if len(l.Sinks) == 0 {
		return nil
	}
	return func(ctx context.Context, p ledger.Pass, e engine.Evaluator) {
		l.Mask = func(ctx context.Context, events [][]byte) ([][]byte, error) {
			if masker, ok := e.(interface {
				Mask(context.Context, [][]byte) ([][]byte, error)
			}); ok {
				return masker.Mask(ctx, events)
			}
			return nil, errors.New("these rules do not mask")
		}
		// A user who may not write the log leaves that to the next pass of root.
		if err := l.Record(ctx, p); err != nil && !errors.Is(err, fs.ErrPermission) {
			log.Error("the decision log is not complete", "err", err)
		}
	}
}

// DecisionBuffer is where events wait for the collector.
func DecisionBuffer(c config.Config) decisionlog.Buffer {
	return decisionlog.Buffer{Dir: filepath.Join(c.StateDir, "decisions"), Limit: int64(c.DecisionLog.Buffer)}
}
