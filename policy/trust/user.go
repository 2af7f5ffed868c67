package trust

import (
	"cmp"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// UpstreamUser is the user of the agents in upstream's image.
const UpstreamUser = "10000:10000"

// A User is a user of the system.
type User struct {
	Name     string // empty: only its numbers are known
	UID, GID int
}

// String is the user as s6-setuidgid takes it: the name, else UID:GID.
func (u User) String() string { return cmp.Or(u.Name, fmt.Sprintf("%d:%d", u.UID, u.GID)) }

// LookupUser finds a user by name or as UID:GID.
func LookupUser(name string) (User, error) {
	if u, g, ok := strings.Cut(name, ":"); ok {
		uid, uidErr := strconv.ParseUint(u, 10, 31)
		gid, gidErr := strconv.ParseUint(g, 10, 31)
		if err := cmp.Or(uidErr, gidErr); err != nil {
			return User{}, fmt.Errorf("user is %q, want a name or UID:GID", name)
		}
		return User{UID: int(uid), GID: int(gid)}, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return User{}, fmt.Errorf("user: there is no user %q here; name another one, or give UID:GID", name)
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	return User{name, uid, gid}, cmp.Or(uidErr, gidErr)
}

// NotByUser is NotBy for the user of the agents, by name or as UID:GID, with all groups of
// the user. UpstreamUser replaces a user that does not exist. Only a process of root's is
// kept from another user: for any other process, and if the agents are root, it is Anybody.
func NotByUser(name string) Judge {
	if os.Geteuid() != 0 {
		return Anybody
	}
	judge := sync.OnceValue(func() Judge { return notByUser(name) })
	return func(st *syscall.Stat_t, above int) string {
		if st.Uid == 0 && st.Mode&0o022 == 0 {
			return "" // root's alone, whoever the user is
		}
		return judge()(st, above)
	}
}

func notByUser(name string) Judge {
	agents, err := LookupUser(name)
	if err != nil {
		agents, _ = LookupUser(UpstreamUser)
	}
	if agents.UID == 0 {
		return Anybody
	}
	gids := []int{agents.GID}
	if u, err := user.LookupId(strconv.Itoa(agents.UID)); err == nil {
		more, _ := u.GroupIds()
		for _, text := range more {
			if id, err := strconv.Atoi(text); err == nil {
				gids = append(gids, id)
			}
		}
	}
	return NotBy(agents.UID, gids...)
}
