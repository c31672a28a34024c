# A small image of the server: one program, no shell needed by it, an ordinary user, a volume for data and one for secrets.
FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
RUN cargo build --release --locked --package alcove-server

FROM debian:bookworm-slim
RUN useradd --system --uid 8787 --home-dir /var/lib/alcove --create-home alcove \
    && install -d -o alcove -g alcove -m 0700 /var/lib/alcove/data /var/lib/alcove/secrets
COPY --from=build /build/target/release/alcove-server /usr/local/bin/alcove-server
USER alcove
WORKDIR /var/lib/alcove
ENV ALCOVE_SERVER_LISTEN=0.0.0.0:8787
EXPOSE 8787
VOLUME ["/var/lib/alcove/data", "/var/lib/alcove/secrets"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["alcove-server"]
