#!/usr/bin/env bash
# Format, module file, vet, staticcheck. Each prints what is wrong, and fails.
set -euo pipefail
cd "$(dirname "$0")/.."

STATICCHECK=honnef.co/go/tools/cmd/staticcheck@v0.8.2

unformatted=$(git ls-files '*.go' | xargs -r gofmt -l)
if [ -n "$unformatted" ]; then
  echo "lint: gofmt would change:"
  echo "$unformatted"
  exit 1
fi
go mod tidy -diff
go vet ./...
go vet -tags bench ./cmd/greffier
go vet -tags amr ./media/codec
go vet -tags cloudkms ./storage/seal
go run "$STATICCHECK" ./...
echo "lint: clean"
