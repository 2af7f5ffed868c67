package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/policy"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"
)

// newLogger makes the logger that the configuration asks for. It writes to stderr;
// on a terminal as text with colours, unless NO_COLOR is set.
func newLogger(c config.Config, stderr io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	if c.LogFormat != "text" && !(c.LogFormat == "auto" && terminalOf(stderr) != nil) {
		return slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: level}))
	}
	colours := hasColours(stderr)
	if o, ok := stderr.(*sink); ok && colours {
		stderr = coloured{o}
	}
	return slog.New(tint.NewTextHandler(stderr, &tint.Options{
		Level: level, TimeFormat: "15:04:05", NoColor: !colours, ReplaceAttr: cleanAttr,
	}))
}

// hasColours reports whether a stream is a terminal whose user wants colours.
func hasColours(stream io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && terminalOf(stream) != nil
}

func addColor(cmd *cobra.Command, color *string) {
	cmd.Flags().StringVar(color, "color", "auto", "auto (on a terminal, unless NO_COLOR is set), always or never")
}

// coloursOn reports whether a stream has colours, by the value of --color.
func coloursOn(color string, stream io.Writer) (bool, error) {
	switch color {
	case "auto":
		return hasColours(stream), nil
	case "always", "never":
		return color == "always", nil
	}
	return false, fmt.Errorf("--color is %q, want auto, always or never", color)
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
