# METADATA
# scope: package
# title: Report switches that are not written as one
# description: |
#   A switch is 1, true, yes, on or 0, false, no, off. docker run --env-file keeps
#   quotes around a value: the facts understand such a switch, and other programs may
#   not. Any other word counts as unset.
package reconcile.rules.flags

alarm contains {"code": "odd_flag", "reason": warning} if {
	some warning in input.container.environment.warnings
}

alarm contains {"code": "odd_flag", "reason": warning} if {
	some warning in input.container.multiplex.warnings
}
