#!/bin/sh
# Generates Java code from protos/ and builds the program that build/explain starts. See docs/languages.md.
#   ./build.sh          with Maven, which fetches gRPC for Java as pom.xml says
#   ./build.sh debian   with what Debian has in /usr/share/java: fetches nothing
# BUILD=FOLDER puts it all there.
set -eu
cd "$(dirname "$0")"
build=${BUILD:-$PWD/build}
mkdir -p "$build"

with_maven() {
    mvn -q package dependency:build-classpath -Dmdep.outputFile="$build/classpath" -Dexample.build="$build"
    classpath=$(cat "$build/classpath")
}

with_debian() {
    protos=../../protos
    jars=/usr/share/java
    classpath=
    for name in grpc-api grpc-context grpc-core grpc-netty grpc-protobuf grpc-protobuf-lite grpc-stub protobuf guava \
        perfmark-api netty-buffer netty-codec netty-codec-http netty-codec-http2 netty-codec-socks netty-common \
        netty-handler netty-handler-proxy netty-resolver netty-transport netty-transport-native-unix-common \
        netty-tcnative geronimo-annotation-1.3-spec; do
        classpath="$classpath:$jars/$name.jar"
    done
    # Debian's classes of google.rpc are older than ErrorInfo. They are made from the .proto files that Python's
    # googleapis-common-protos brings: in .venv, or where GOOGLEAPIS says.
    googleapis=${GOOGLEAPIS:-$(echo ../../.venv/lib/python3*/site-packages)}
    rm -rf "$build/generated" "$build/classes"
    mkdir -p "$build/generated" "$build/classes" "$build/native"
    protoc -I "$protos" -I "$googleapis" --plugin=protoc-gen-grpc-java="$(command -v grpc_java_plugin)" \
        --java_out="$build/generated" --grpc-java_out="$build/generated" "$protos"/explicate/v1/*.proto \
        "$googleapis"/google/rpc/error_details.proto "$googleapis"/google/rpc/status.proto
    find "$build/generated" src -name '*.java' >"$build/sources"
    javac -proc:none -nowarn -encoding UTF-8 -d "$build/classes" -cp "$classpath" "@$build/sources"
    # Debian's Netty does TLS with OpenSSL only, and looks for the library under another name than Debian's.
    cp /usr/lib/*/jni/libnetty-tcnative.so "$build/native/libnetty_tcnative.so"
}

if [ "${1:-}" = debian ]; then with_debian; else with_maven; fi

cat >"$build/explain" <<END
#!/bin/sh
exec java -Djava.library.path='$build/native' -cp '$build/classes:$classpath' example.Explain "\$@"
END
chmod +x "$build/explain"
