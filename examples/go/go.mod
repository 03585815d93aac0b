module explain

go 1.22

// Made from protos/ by build.sh.
require explicate.dev/explicate v0.0.0

replace explicate.dev/explicate => ./build/src/explicate.dev/explicate
