# Greffier as one static program that runs as nobody in particular.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /greffier ./cmd/greffier && mkdir -p /data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /greffier /greffier
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
VOLUME /data
ENV GREFFIER_DATA_DIR=/data
# SIP over UDP and TCP, the API and the page, RTP and RTCP. Nothing listens beyond loopback until the configuration says so.
EXPOSE 5060/udp 5060/tcp 8080/tcp 20000-29999/udp
ENTRYPOINT ["/greffier"]
CMD ["serve", "-c", "/etc/greffier/greffier.yaml"]
