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

// LookupUser finds a user by name or as UID:GID.
func LookupUser(name string) (uid, gid int, err error) {
	if u, g, ok := strings.Cut(name, ":"); ok {
		uid, uidErr := strconv.ParseUint(u, 10, 31)
		gid, gidErr := strconv.ParseUint(g, 10, 31)
		if err := cmp.Or(uidErr, gidErr); err != nil {
			return 0, 0, fmt.Errorf("user is %q, want a name or UID:GID", name)
		}
		return int(uid), int(gid), nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, fmt.Errorf("user: there is no user %q here; name another one, or give UID:GID", name)
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	return uid, gid, cmp.Or(uidErr, gidErr)
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
	uid, gid, err := LookupUser(name)
	if err != nil {
		uid, gid, _ = LookupUser(UpstreamUser)
	}
	if uid == 0 {
		return Anybody
	}
	gids := []int{gid}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		more, _ := u.GroupIds()
		for _, text := range more {
			if id, err := strconv.Atoi(text); err == nil {
				gids = append(gids, id)
			}
		}
	}
	return NotBy(uid, gids...)
}
