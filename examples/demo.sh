#!/bin/sh
# Runs the examples in a folder of their own, with nothing installed but the binaries in the
# folder given (default: target/debug). Ends by itself; the exit code is that of the story.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "${1:-$here/../target/debug}" && pwd)
for program in dapr daprd sentry orders inventory; do
    if [ ! -x "$bin/$program" ]; then
        echo "demo: $bin has no $program; build it first: cargo build -p cli -p sidecar -p sentry -p examples" >&2
        exit 1
    fi
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cp -R "$here/dapr.yaml" "$here/access.yaml" "$here/secrets.json" "$here/resources" "$work"
mkdir "$work/home"
export HOME="$work/home" PATH="$bin:$PATH"
unset DAPR_RUNTIME_PATH DAPR_API_TOKEN APP_API_TOKEN DAPR_SENTRY_TOKEN_FILE NAMESPACE
cd "$work"

dapr init --slim
code=0
dapr run -f dapr.yaml || code=$?
if [ "$code" -ne 0 ]; then
    echo "demo: the story failed with exit code $code; what the sidecars logged:" >&2
    cat .dapr/logs/*_daprd_*.log >&2 || true
fi
exit "$code"
