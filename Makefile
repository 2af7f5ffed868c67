# Short names for the scripts; each does the set-up that it needs.
.PHONY: build demo test bench update release

build: ## the static binary, as bin/hermes-reconcile
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/hermes-reconcile ./cmd/hermes-reconcile

demo: ## the main job on a scratch home, with a real s6
	./fixtures/demo.sh

test: ## everything that CI runs
	./fixtures/test.sh

bench: ## the figures of docs/performance.md
	go run ./fixtures/bench

update: ## rewrite the expected outputs of the scripts; read the diff
	go test ./cmd/hermes-reconcile -run TestScripts -update

release: ## what is published, in dist/, and proof that it is reproducible
	./fixtures/release.sh --verify
