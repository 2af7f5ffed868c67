package ledger

import (
	"encoding/json"

	"hermes-reconcile/policy"
)

// maxEnd bounds how much of the end of the ledger Last reads, in bytes. One pass over 480
// profiles writes about half of it.
const maxEnd = 1 << 20

// A Summary is the part of a line that Last reads.
type Summary struct {
	Time       string `json:"time"`
	BootID     string `json:"boot_id"`
	Phase      string `json:"phase"`
	Command    string `json:"command"`
	Image      string `json:"image"`
	Profile    string `json:"profile"`
	Action     string `json:"action"`
	Code       string `json:"code"`
	PriorState string `json:"prior_state"`
	PriorExit  string `json:"prior_exit"`
	Policy     struct {
		Revision string `json:"revision"`
		Fallback bool   `json:"fallback"`
	} `json:"policy"`
	Errors []string `json:"errors"`
}

// Last returns the newest line about the container, and the newest line of each profile, of
// the end of the ledger. container is nil when there is none. Lines that are not valid are left
// out, and the agent can have written every line. The error wraps fs.ErrNotExist or
// policy.ErrNotRegular, or is the system's.
func Last(home policy.Directory) (container *Summary, profiles map[string]Summary, err error) {
	file, err := home.Open("logs/" + Name)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	profiles = map[string]Summary{}
	_, _, err = scanFile(file, maxEnd, func(text []byte) bool {
		var s Summary
		switch {
		case json.Unmarshal(text, &s) != nil || s.Time == "" || s.Action == "":
			return false
		case s.Profile == "":
			container = &s
		default:
			profiles[s.Profile] = s
		}
		return true
	})
	return container, profiles, err
}
