#!/usr/bin/env bash
# Install, with apt, what tests start and this machine lacks. Prints what it does.
set -euo pipefail

have() { command -v "$1" >/dev/null 2>&1; }
postgres_server() { have postgres || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; }
python_venv() { have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null; }

missing=()
have cc || missing+=(build-essential)
have curl || missing+=(curl)
have git || missing+=(git)
have redis-server || missing+=(redis-server)
have redis-sentinel || missing+=(redis-sentinel)
have etcd || missing+=(etcd-server)
have etcdctl || missing+=(etcd-client)
postgres_server || missing+=(postgresql)
python_venv || missing+=(python3-venv)
have node || missing+=(nodejs)
have npm || missing+=(npm)
have go || missing+=(golang-go)

# The Go SDK names the Go version it needs. Go 1.21 and later fetch that one
# themselves; for an older Go (Debian 12) it is fetched as the module it is.
newer_go() {
  local folder=${DAPR_RS_CACHE:-$HOME/.cache/dapr-rs}/sdk/go/toolchain
  local minor wanted arch module
  minor=$(go version | sed -n 's/.* go1\.\([0-9]*\).*/\1/p')
  if [ "${minor:-0}" -ge 21 ] || [ -x "$folder/bin/go" ]; then return; fi
  wanted=$(sed -n 's/^go //p' "$(dirname "$0")/../e2e/sdk/go/go.mod")
  arch=$(go env GOARCH)
  echo "fetching Go $wanted"
  module=$(cd / && go mod download -json "golang.org/toolchain@v0.0.1-go$wanted.linux-$arch" \
    | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  mkdir -p "$folder"
  cp -R "$module"/. "$folder"
  chmod -R u+w "$folder"
  chmod -R +x "$folder/bin" "$folder/pkg/tool"
}

if [ ${#missing[@]} -eq 0 ]; then
  newer_go
  echo "nothing to install"
  exit 0
fi

echo "installing: ${missing[*]}"
if ! have apt-get; then
  echo "no apt-get here; install them by hand, or see which tests are skipped" >&2
  exit "$([ "${CI:-}" = true ] && echo 1 || echo 0)"
fi
sudo=()
if [ "$(id -u)" != 0 ]; then
  have sudo || { echo "neither root nor sudo; install them by hand" >&2; exit 1; }
  sudo=(sudo)
fi

# Tests start their own servers: Debian's packages must not start theirs.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
  "${sudo[@]}" chmod +x "$policy"
  trap '"${sudo[@]}" rm -f "$policy"' EXIT
fi
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
for unit in redis-server redis-sentinel etcd postgresql; do
  case " ${missing[*]} " in
    *" $unit "*) have systemctl && "${sudo[@]}" systemctl disable --quiet --now "$unit" 2>/dev/null || true ;;
  esac
done
newer_go
echo "installed"
