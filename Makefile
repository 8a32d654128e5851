# Everything a developer does, a target each. `make` lists them.

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 2m
BENCH    ?= .
SCALE    ?= 1

GOLANGCI_LINT := $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
OAPI_CODEGEN  := $(GO) run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/provost, static and reproducible
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/provost ./cmd/provost

.PHONY: run
run: build ## build and serve the demo on http://127.0.0.1:8080
	./bin/provost serve --demo

.PHONY: deps
deps: ## install what tests start: PostgreSQL, OpenLDAP and Samba (as root; else say what is missing)
	@scripts/deps

.PHONY: test
test: deps ## run all tests, shuffled, against real servers
	$(GO) test -shuffle=on -timeout 20m ./...

.PHONY: test-race
test-race: deps ## the same with the race detector
	CGO_ENABLED=1 $(GO) test -race -shuffle=on -timeout 30m ./...

.PHONY: bench
bench: deps ## measure speed as ratios to floors, into docs/BENCHMARKS.md (BENCH=Pull for one, SCALE=0.01 for a quick look)
	$(GO) test -count=1 -run '^$$' -bench '$(BENCH)' -benchtime 1x -timeout 60m ./internal/bench \
	  -args -provost.scale '$(SCALE)' -provost.report '$(CURDIR)/docs/BENCHMARKS.md'

.PHONY: fuzz
fuzz: ## fuzz every fuzz target for FUZZTIME (2m)
	@set -e; for file in $$(git ls-files --cached --others --exclude-standard '*_test.go' | xargs grep -l '^func Fuzz'); do \
	  for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\).*/\1/p' $$file); do \
	    echo "== ./$$(dirname $$file) $$target for $(FUZZTIME)"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) ./$$(dirname $$file); \
	  done; \
	done

.PHONY: fuzz-short
fuzz-short: ## fuzz every fuzz target with 15,000 inputs, as .ci/run does
	@# a number of inputs, because go test may fail when a time runs out on a busy machine
	@$(MAKE) --no-print-directory fuzz FUZZTIME=15000x

.PHONY: generate
generate: ## write the code generated from openapi/openapi.yaml
	$(OAPI_CODEGEN) -config openapi/oapi-codegen-server.yaml openapi/openapi.yaml
	$(OAPI_CODEGEN) -config openapi/oapi-codegen-client.yaml openapi/openapi.yaml

.PHONY: fix
fix: ## mend what gofmt and the linters can mend by themselves
	$(GOLANGCI_LINT) run --fix

.PHONY: verify
verify: verify-format verify-vet verify-lint verify-generated verify-modules ## check format, vet, lint, import law, generated code, modules

.PHONY: verify-format
verify-format:
	@changed=$$(git ls-files -z --cached --others --exclude-standard '*.go' | xargs -0 gofmt -l); \
	if [ -n "$$changed" ]; then echo "gofmt would change:"; echo "$$changed"; exit 1; fi

.PHONY: verify-vet
verify-vet:
	$(GO) vet ./...

.PHONY: verify-lint
verify-lint: # the import law is here too, as rules of depguard
	$(GOLANGCI_LINT) run

.PHONY: verify-generated
verify-generated:
	@set -e; fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	for part in server client; do \
	  sed "s|^output: .*|output: $$fresh/$$part.gen.go|" openapi/oapi-codegen-$$part.yaml >"$$fresh/$$part.yaml"; \
	  $(OAPI_CODEGEN) -config "$$fresh/$$part.yaml" openapi/openapi.yaml; \
	  diff -u "openapi/$$part.gen.go" "$$fresh/$$part.gen.go" || { echo "hint: run \`make generate\` and commit openapi/$$part.gen.go"; exit 1; }; \
	done

.PHONY: verify-modules
verify-modules:
	$(GO) mod tidy -diff

.PHONY: clean
clean: ## remove what build made
	rm -rf bin
