package terminal

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/policy"

	"github.com/lmittmann/tint"
)

// NewLogger makes the logger that the configuration asks for. It writes to stderr;
// on a terminal as text with colours, unless NO_COLOR is set.
func NewLogger(c config.Config, stderr io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	if c.LogFormat != "text" && !(c.LogFormat == "auto" && Of(stderr) != nil) {
		return slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: level}))
	}
	colours := HasColours(stderr)
	if colours {
		stderr = ForColours(stderr)
	}
	return slog.New(tint.NewTextHandler(stderr, &tint.Options{
		Level: level, TimeFormat: "15:04:05", NoColor: !colours, ReplaceAttr: cleanAttr,
	}))
}

// HasColours reports whether a stream is a terminal whose user wants colours.
func HasColours(stream io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && Of(stream) != nil
}

// cleanAttr cleans what is logged as text.
func cleanAttr(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString, slog.KindAny:
		if a.Key != slog.LevelKey {
			a.Value = slog.StringValue(policy.Clean(fmt.Sprint(a.Value.Any())))
		}
	}
	return a
}
