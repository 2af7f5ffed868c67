package world

import (
	"fmt"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/inspect"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/policy/trust"
)

// Usable makes a configuration one that works, and returns what was wrong with it.
func Usable(c *config.Config, wrong error) []view.Finding {
	var found []view.Finding
	note := func(code, what string, err error) {
		if err != nil {
			found = append(found, view.Finding{Code: code, Mend: inspect.Mends[code], Reason: fmt.Sprintf("%s: %v", what, err)})
		}
	}
	note(inspect.CodeConfiguration, "the configuration is wrong; going on without that part", wrong)
	if _, err := lookupUser(c.User); err != nil {
		note(inspect.CodeNoUser, "going on as "+trust.UpstreamUser, err)
		c.User = trust.UpstreamUser
	}
	return found
}
