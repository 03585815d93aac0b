#!/bin/sh
# Generates Go code from protos/ and builds build/explain. See docs/languages.md.
#   ./build.sh          with Go modules: fetches gRPC for Go, in its newest version
#   ./build.sh debian   with what Debian has in /usr/share/gocode: fetches nothing
# BUILD=FOLDER puts it all there.
set -eu
cd "$(dirname "$0")"
protos=../../protos
build=${BUILD:-$PWD/build}
stubs=explicate.dev/explicate # from go_package in the protos
rm -rf "$build/src"
mkdir -p "$build/src"
protoc -I "$protos" --go_out="$build/src" --go-grpc_out="$build/src" "$protos"/explicate/v1/*.proto
if [ "${1:-}" = debian ]; then
    GO111MODULE=off GOFLAGS='' GOPATH="$build:/usr/share/gocode" go build -o "$build/explain" .
else
    (cd "$build/src/$stubs" && go mod init "$stubs")
    cp go.mod "$build/go.mod" # its copy gets the versions that are the newest now
    go mod edit -replace "$stubs=$build/src/$stubs" "$build/go.mod"
    go mod tidy -modfile "$build/go.mod"
    go build -modfile "$build/go.mod" -o "$build/explain" .
fi
