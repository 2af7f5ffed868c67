# Short names for the scripts. Each script installs or names what it needs.
.PHONY: build demo quick test full bench update release

build: ## the static binary, as bin/hermes-reconcile
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/hermes-reconcile ./cmd/hermes-reconcile

demo: ## the main job on a scratch home, with a real s6
	./fixtures/demo.sh

quick: ## the tests for the edit loop
	./fixtures/test.sh quick

test: ## what CI runs
	./fixtures/test.sh

full: ## every test and check
	./fixtures/test.sh full

bench: ## the table of docs/performance.md
	go run ./fixtures/bench

update: ## rewrite the expected outputs of the scripts; read the diff
	go test ./cmd/hermes-reconcile -run TestScripts -update

release: ## the published files, in dist/, built twice and compared
	./fixtures/release.sh --verify
