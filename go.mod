module hermes-reconcile

go 1.26.0
