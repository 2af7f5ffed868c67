package plugins

import (
	"cmp"
	"errors"
	"fmt"

	"hermes-reconcile/policy/trust"
)

// UserOf finds the user that plug-ins run as for root; without a name it is nobody. The
// agents' user is one only where the operator names it.
func UserOf(name string, agents User) (User, error) {
	uid, gid, err := trust.LookupUser(cmp.Or(name, "nobody"))
	if err != nil && name == "" {
		uid, gid, err = 65534, 65534, nil
	}
	u := User{UID: uid, GID: gid}
	switch {
	case err != nil:
		return u, fmt.Errorf("configuration: facts.user: %w", err)
	case uid == 0 || gid == 0:
		return u, errors.New("facts.user is root or in the group of root, want another user for plug-ins")
	case name == "" && uid == agents.UID:
		return u, errors.New("facts.user is not set, and nobody is the agents' user: name another one for plug-ins")
	}
	return u, nil
}
