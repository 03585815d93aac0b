#!/bin/sh
# Generates Go code from protos/ and builds build/explain. See docs/languages.md.
#   ./build.sh          with Go modules: fetches gRPC for Go, in its newest version
#   ./build.sh debian   with what Debian has installed in /usr/share/gocode: fetches nothing
set -eu
cd "$(dirname "$0")"
protos=../../protos
rm -rf build
mkdir -p build/src
protoc -I "$protos" --go_out=build/src --go-grpc_out=build/src "$protos"/explicate/v1/*.proto
if [ "${1:-}" = debian ]; then
    GO111MODULE=off GOFLAGS= GOPATH="$PWD/build:/usr/share/gocode" go build -o build/explain .
else
    (cd build/src/explicate.dev/explicate && go mod init explicate.dev/explicate)
    cp go.mod build/go.mod  # go.mod as committed says nothing of versions: they are chosen here
    go mod tidy -modfile build/go.mod
    go build -modfile build/go.mod -o build/explain .
fi
