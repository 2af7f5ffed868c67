package reconcile.rules.transient_state_test

import data.reconcile.rules.transient_state

started(prior) if {
	members := transient_state.start with input as {"profiles": {"coder": {"prior_state": prior}}}
	count(members) == 1
}

test_draining_and_degraded_start if {
	started({"status": "recorded", "gateway": "draining"})
	started({"status": "recorded", "gateway": "degraded"})
}

test_an_intent_counts_alone if {
	not started({"status": "recorded", "desired": "stopped", "gateway": "draining"})
	not started({"status": "recorded", "desired": "", "gateway": "draining"})
	not started({"status": "recorded", "desired": "running", "gateway": "draining"})
}

test_an_intent_has_no_transient_words if {
	not started({"status": "recorded", "desired": "draining"})
}

test_other_states_do_not if {
	every state in ["running", "starting", "startup_failed", "stopped"] {
		not started({"status": "recorded", "gateway": state})
	}
}
