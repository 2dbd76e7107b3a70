#!/usr/bin/env bash
# Install cargo-deny below a folder that outlives the clone.
# Usage: install-cargo-deny.sh FOLDER VERSION
set -euo pipefail
root=$1 version=$2
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
# A debug build compiles in a third of the time and checks fast enough.
# The folder of its own keeps the workspace's target directory clean.
CARGO_TARGET_DIR=$build cargo install --locked --debug --force --root "$root" "cargo-deny@$version"
