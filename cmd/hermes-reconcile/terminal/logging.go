package terminal

import (
	"io"
	"log/slog"
	"os"

	"hermes-reconcile/cmd/hermes-reconcile/config"

	"github.com/lmittmann/tint"
)

// NewLogger makes the logger that the configuration asks for. It writes to stderr, on a terminal
// as text.
func NewLogger(c config.Config, stderr io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	if c.LogFormat != "text" && !(c.LogFormat == "auto" && Of(stderr) != nil) {
		return slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: level}))
	}
	return slog.New(tint.NewTextHandler(stderr, &tint.Options{Level: level, TimeFormat: "15:04:05", NoColor: true}))
}

// HasColours reports whether a stream is a terminal whose user wants colours.
func HasColours(stream io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && Of(stream) != nil
}
