# The fleet as one static binary in an otherwise empty image.
#
#   docker build -t temporal-fleet --build-arg REVISION="$(git rev-parse --short HEAD)" .
#   docker run --rm -e FLEET_ROLE=workflow-worker -e TEMPORAL_ADDRESS=host:7233 temporal-fleet
#
# What runs in it is told by FLEET_ROLE, or by a command, as `starter -n 25`. To watch: `docker ps`
# shows its health, `docker logs` what it says, and `docker stop` drains it (give it longer than
# FLEET_DRAIN_TIMEOUT: `--time 30`).
#
# For a fleet of your own: this file as it is, with your binary's name for `fleet`.

# A mirror, or a stand-in that deploy/airgap/build-images makes.
ARG RUST_IMAGE=rust:1.95-slim-bookworm

FROM ${RUST_IMAGE} AS build
WORKDIR /build
# Static: libc and its DNS client are in the binary. Cargo applies these flags to what runs in the
# image alone, and not to build scripts and macros, where a target is named.
ENV RUSTFLAGS="-C target-feature=+crt-static"
ENV CARGO_TERM_COLOR=never
# hadolint ignore=DL4006 # without a target the build fails at once
RUN rustc -vV | sed -n 's/^host: //p' > /target

# The dependencies, in a layer that changes with Cargo.lock alone.
COPY Cargo.toml Cargo.lock ./
# hadolint ignore=DL4006 # nothing in this pipe can fail alone
RUN mkdir -p src tests/it \
    && echo '//! To be replaced.' | tee src/lib.rs tests/it/main.rs > src/main.rs \
    && echo 'fn main() {}' >> src/main.rs \
    && cargo build --locked --profile dist --target "$(cat /target)"

COPY src src
# Which source this is: `fleet --version` and /status show it.
ARG REVISION=""
RUN touch src/lib.rs src/main.rs \
    && BUILD_REVISION="${REVISION}" cargo build --locked --profile dist --target "$(cat /target)" \
    && cp "target/$(cat /target)/dist/fleet" /fleet

FROM scratch
ARG REVISION=""
LABEL org.opencontainers.image.title="temporal-fleet" \
      org.opencontainers.image.description="Temporal workers as a fleet of processes" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}"
# For servers with a public certificate.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /fleet /fleet
# Nobody in particular; a number, so that Kubernetes can see that it is not root.
USER 65532:65532
ENV FLEET_HEALTH_ADDR=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=6s --start-period=60s --retries=2 CMD ["/fleet", "health"]
ENTRYPOINT ["/fleet"]
