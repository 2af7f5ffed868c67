package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"hermes-reconcile/policy"
)

// A consent is asked for on a terminal, before what cannot be undone. Elsewhere nobody is
// asked: a script means what it says.
type consent struct{ yes bool }

func (a *consent) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&a.yes, "yes", false, "do not ask on a terminal")
}

// ask returns an error unless the answer is yes. Without a question nobody is asked.
func (a consent) ask(cmd *cobra.Command, question string) error {
	if question == "" || a.yes || terminalOf(cmd.InOrStdin()) == nil || terminalOf(cmd.ErrOrStderr()) == nil {
		return nil
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s [y/N] ", policy.Line(question))
	answer, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if word := strings.ToLower(strings.TrimSpace(answer)); word == "y" || word == "yes" {
		return nil
	}
	return failed(errors.New("nothing is done"))
}
