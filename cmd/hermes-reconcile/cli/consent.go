package cli

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/terminal"
	"hermes-reconcile/policy"
)

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
