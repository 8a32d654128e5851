# syntax=docker/dockerfile:1
# Two stages: Go builds a static binary, and the image holds nothing else but
# the certificates of the public authorities and the time zones.
#
#   docker build --build-arg VERSION=$(git describe --tags --always) -t provost .
#   docker run -p 8080:8080 -v provost:/data provost

FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH
ARG VERSION=unknown
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/provost ./cmd/provost \
 && mkdir -p /out/data \
 && cp "$(go env GOROOT)/lib/time/zoneinfo.zip" /out/zoneinfo.zip

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/zoneinfo.zip /usr/share/zoneinfo.zip
COPY --from=build /out/provost /usr/bin/provost
# The user has no name; the number lets Kubernetes see that it is not root.
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV ZONEINFO=/usr/share/zoneinfo.zip \
    PROVOST_LISTEN=0.0.0.0:8080 \
    PROVOST_DATABASE=sqlite:/data/provost.db
VOLUME /data
WORKDIR /data
EXPOSE 8080
ENTRYPOINT ["/usr/bin/provost"]
CMD ["serve"]
