# Every target is one script or one cargo command; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench understand reports kernels e2e chart scale image clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing to build and test: Rust is checked, clang, libbpf's headers, nats-server
	deploy/setup

demo: setup ## break something on this host for real and watch Tapio explain it (as root)
	cargo build --workspace --bins # optimised builds take four times as long, and the story is the same
	PATH="$(CURDIR)/target/tools:$$PATH" "$${CARGO_TARGET_DIR:-target}/debug/tapio" demo

test: setup ## everything that can be proved on this machine
	deploy/test

check: setup ## format, lints, documentation, dependencies, shell scripts
	deploy/check

bench: setup ## benches of the primitives, then the whole pipeline against the raw bus, into loadtest/RESULTS.md
	PATH="$(CURDIR)/target/tools:$$PATH" cargo bench --workspace --bench '*'
	cargo build --release --workspace --bins
	PATH="$(CURDIR)/target/tools:$$PATH" "$${CARGO_TARGET_DIR:-target}/release/tapio-loadtest" \
	  --criterion "$${CARGO_TARGET_DIR:-target}/criterion" --record loadtest/RESULTS.md

understand: ## replay the recordings of real faults in correlator/corpus, and score what is told about each
	cargo run --quiet --release -p loadtest -- understand --plot loadtest/understanding.svg

reports: setup ## small programs that have misled other systems: what is said of each, beside what is right (as root)
	cargo build --workspace --bins --tests
	PATH="$(CURDIR)/target/tools:$$PATH" cargo test --workspace --test reports -- --include-ignored --nocapture --test-threads=3

kernels: setup ## load and run the eBPF programs on every supported kernel, in virtual machines
	deploy/lab/kernel-matrix

e2e: setup ## the story in a real Kubernetes on this host, then a campaign of real faults, each once (as root)
	deploy/lab/e2e
	deploy/lab/campaign

chart: setup ## every way to install the chart, on a real Kubernetes on this host (as root)
	deploy/lab/chart

scale: setup ## changes in a cluster of a thousand nodes, which are objects alone (as root)
	deploy/lab/scale

image: setup ## static builds and container images, into target/images
	deploy/image

clean: ## remove everything that was built, and the tools
	cargo clean
	rm -rf target
