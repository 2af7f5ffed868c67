package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/terminal"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/policy"
	"hermes-reconcile/policy/suggest"
)

// TakeFormat reports whether --output is a format that only this command has, and then makes
// it the table for the configuration, which does not know the format.
func TakeFormat(cmd *cobra.Command, format string) bool {
	flag := cmd.Flags().Lookup("output")
	if flag.Value.String() != format {
		return false
	}
	return flag.Value.Set("table") == nil
}

// CompleteWords lets a shell complete the values of the flags that take one of a few words.
func CompleteWords(cmd *cobra.Command, flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if words := config.Words(f.Name); len(words) > 0 {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
		}
	})
}

// SuggestFlag adds to the error of an unknown flag the one that was probably meant.
func SuggestFlag(cmd *cobra.Command, err error) error {
	name, ok := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !ok {
		return fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return fmt.Errorf("%w%s", err, suggest.Words(name, names))
}

// SuggestCommand is the Args of a command that only has commands below it: a word
// that is none of them is answered with the one that was probably meant.
func SuggestCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return fmt.Errorf("unknown command %q for %s%s", args[0], cmd.CommandPath(), suggest.Words(args[0], names))
}

// Screen is the screen that a stream is, and the writer to draw on it. It has colours always, never
// or, with auto, if its user wants them.
func Screen(color string, stream io.Writer) (view.Screen, io.Writer) {
	s := view.Screen{Colour: color == "always" || color == "auto" && terminal.HasColours(stream)}
	if screen := terminal.Of(stream); screen != nil {
		s.Width, _, _ = term.GetSize(int(screen.Fd())) // an unknown width cuts nothing
	}
	if s.Colour {
		stream = terminal.ForColours(stream)
	}
	return s, stream
}

// A Consent is asked for on a terminal, before what cannot be undone. Elsewhere nobody is
// asked: a script means what it says.
type Consent struct{ yes bool }

// Add adds the flag.
func (a *Consent) Add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&a.yes, "yes", false, "do not ask on a terminal")
}

// Ask returns an error unless the answer is yes. Without a question nobody is asked.
func (a Consent) Ask(cmd *cobra.Command, question string) error {
	if question == "" || a.yes || terminal.Of(cmd.InOrStdin()) == nil || terminal.Of(cmd.ErrOrStderr()) == nil {
		return nil
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s [y/N] ", policy.Line(question))
	answer, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if word := strings.ToLower(strings.TrimSpace(answer)); word == "y" || word == "yes" {
		return nil
	}
	return Failed(errors.New("nothing is done"))
}
