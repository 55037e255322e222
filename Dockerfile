# The fleet as one static binary in an otherwise empty image.
#
#   docker build -t temporal-fleet --build-arg REVISION="$(git rev-parse --short HEAD)" .
#   docker run --rm -e FLEET_ROLE=workflow-worker -e TEMPORAL_ADDRESS=host:7233 temporal-fleet
#
# FLEET_ROLE, or a command such as `starter -n 25`, says what the container runs. `docker ps` shows its
# health and `docker logs` its log. `docker stop` drains it; give it longer than FLEET_DRAIN_TIMEOUT:
# `--time 30`.
#
# For a fleet of your own, use this file with your binary's name in place of `fleet`, and deploy/pgo.

# This can name a mirror's image, or the image that deploy/airgap/build-images makes in its place.
ARG RUST_IMAGE=rust:1.95-slim-bookworm

FROM ${RUST_IMAGE} AS build
WORKDIR /build
# The binary is static: libc and its DNS client are in it. Because the build names a target, Cargo applies
# these flags to the program only and not to build scripts and macros. Packed relocations make a
# position-independent binary a megabyte smaller. The profile, which deploy/pgo/train records, tells the
# compiler which code is hot (docs/performance.md); as hot counts what takes 90 % of the time in it, so that the
# image stays below 20 MB.
COPY deploy/pgo/fleet.profdata /build/
ENV RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs -C profile-use=/build/fleet.profdata -C llvm-args=-profile-summary-cutoff-hot=900000"
ENV CARGO_TERM_COLOR=never

# The dependencies are in a layer that changes only with Cargo.lock and the manifest.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src tests/it tests/containers \
    && for file in src/lib.rs src/main.rs tests/it/main.rs tests/containers/main.rs; do \
        printf '//! To be replaced.\nfn main() {}\n' > "$file"; \
    done \
    && cargo build --locked --profile dist --target "$(rustc --print host-tuple)"

COPY src src
# The source revision, which `fleet --version` and /status show.
ARG REVISION=""
RUN touch src/lib.rs src/main.rs \
    && target="$(rustc --print host-tuple)" \
    && BUILD_REVISION="${REVISION}" \
        cargo build --locked --profile dist --target "$target" \
    && cp "target/$target/dist/fleet" /fleet

FROM scratch
# The certificates are for servers with a public certificate.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /fleet /fleet
# The user is a number, so that Kubernetes can see that it is not root.
USER 65532:65532
ENV FLEET_HEALTH_ADDR=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=6s --start-period=60s --retries=2 CMD ["/fleet", "health"]
ENTRYPOINT ["/fleet"]
ARG REVISION=""
LABEL org.opencontainers.image.title="temporal-fleet" \
      org.opencontainers.image.description="Temporal workers as a fleet of processes" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}"
