package main

import (
	"io"
	"log/slog"
	"os"

	"hermes-reconcile/cmd/hermes-reconcile/config"

	"github.com/lmittmann/tint"
	"golang.org/x/term"
)

// newLogger makes the logger that the configuration asks for. It writes to stderr;
// on a terminal as text with colours, unless NO_COLOR is set.
func newLogger(c config.Config, stderr io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	file, isFile := stderr.(*os.File)
	terminal := isFile && term.IsTerminal(int(file.Fd()))
	if c.LogFormat == "text" || c.LogFormat == "auto" && terminal {
		return slog.New(tint.NewTextHandler(stderr, &tint.Options{
			Level: level, TimeFormat: "15:04:05",
			NoColor: !terminal || os.Getenv("NO_COLOR") != "",
		}))
	}
	return slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: level}))
}
