# Three images from one build:
#
#     docker build --target operator -t thalweg-operator:0.1.0 .
#     docker build --target runtime  -t thalweg:0.1.0 .
#     docker build --target example  -t thalweg/examples:0.1.0 .
#
# An application of your own needs three lines:
#
#     FROM thalweg:0.1.0
#     COPY target/release/my-application /usr/local/bin/
#     ENTRYPOINT ["/usr/local/bin/my-application"]
#
# BASE and BUILDER name other bases; BINARIES an image that has the finished programs in /binaries,
# for machines that build them elsewhere.
ARG BUILDER=rust:1.95-bookworm
ARG BASE=debian:bookworm-slim
ARG BINARIES=builder

FROM ${BUILDER} AS builder
WORKDIR /source
COPY . .
RUN cargo build --locked --release --target-dir /target \
        -p thalweg -p thalweg-operator -p fraud-detection -p personalisation \
        --features thalweg/s3 \
    && mkdir /binaries \
    && cp /target/release/thalweg /target/release/thalweg-operator \
        /target/release/fraud-detection /target/release/personalisation /binaries/ \
    && cp /etc/ssl/certs/ca-certificates.crt /binaries/

FROM ${BINARIES} AS binaries

FROM ${BASE} AS base
# What S3 over TLS is checked with.
COPY --from=binaries /binaries/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# Nobody: no name, no home, no rights.
USER 65532:65532
WORKDIR /

FROM base AS operator
COPY --from=binaries /binaries/thalweg-operator /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/thalweg-operator"]

FROM base AS runtime
COPY --from=binaries /binaries/thalweg /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/thalweg"]

FROM runtime AS example
COPY --from=binaries /binaries/fraud-detection /binaries/personalisation /usr/local/bin/
COPY examples/fraud-detection/data /usr/local/share/fraud-detection
COPY examples/personalisation/data /usr/local/share/personalisation
ENTRYPOINT ["/usr/local/bin/fraud-detection"]
