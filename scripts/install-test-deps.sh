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
postgres_server || missing+=(postgresql)
python_venv || missing+=(python3-venv)
have node || missing+=(nodejs)
have npm || missing+=(npm)
have go || missing+=(golang-go)

if [ ${#missing[@]} -eq 0 ]; then
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
for unit in redis-server redis-sentinel postgresql; do
  case " ${missing[*]} " in
    *" $unit "*) have systemctl && "${sudo[@]}" systemctl disable --quiet --now "$unit" 2>/dev/null || true ;;
  esac
done
echo "installed"
