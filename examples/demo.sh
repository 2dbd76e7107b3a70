#!/bin/sh
# Runs the examples in a folder of their own, with nothing installed but the binaries in the
# folder given (default: target/debug). Ends by itself; the exit code is that of the story.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "${1:-$here/../target/debug}" && pwd)
for program in dapr daprd sentry placement scheduler orders inventory carts; do
    if [ ! -x "$bin/$program" ]; then
        echo "demo: $bin has no $program; build it first: make build" >&2
        exit 1
    fi
done

work=$(mktemp -d)
trap 'dapr uninstall --all >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cp -R "$here/dapr.yaml" "$here/access.yaml" "$here/secrets.json" "$here/resources" "$work"
mkdir "$work/home"
export HOME="$work/home" PATH="$bin:$PATH"
unset DAPR_RUNTIME_PATH DAPR_API_TOKEN APP_API_TOKEN DAPR_SENTRY_TOKEN_FILE NAMESPACE
cd "$work"

failed() {
    echo "demo: the story failed; what was logged:" >&2
    cat .dapr/logs/*_daprd_*.log home/.dapr/logs/*.log >&2 2>/dev/null || true
    exit 1
}

# Two apps that call each other over mutual TLS; nothing else runs.
dapr init --slim
dapr run -f dapr.yaml || failed

# Actors need placement and scheduler; any free ports, since others may run here.
ports=placement=0,placement-health=0,placement-metrics=0
ports=$ports,scheduler=0,scheduler-health=0,scheduler-metrics=0,scheduler-etcd=0
dapr init --port "$ports" || failed
dapr run --app-id carts --app-port 6103 --resources-path ./resources \
    --log-level error -- carts || failed
