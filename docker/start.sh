#!/bin/sh
# Starts the app in a container: the code may be read-only, the user any, and the home empty or missing.
# What is written goes below DFML_STATE (/data); where that cannot be written, into a folder that ends with the container.
set -eu

state=${DFML_STATE:-/data}
if ! { mkdir -p "$state/runs" && [ -w "$state/runs" ]; } 2>/dev/null; then
    echo "start.sh: $state cannot be written: runs are kept in a folder that ends with this container." >&2
    state=$(mktemp -d)
fi
export DFML_RUNS="${DFML_RUNS:-$state/runs}" DFML_CACHE="${DFML_CACHE:-$state/cache}"
export DFML_LOCKS="${DFML_LOCKS:-$state/locks}" XDG_CACHE_HOME="${XDG_CACHE_HOME:-$state/cache}"
if [ -z "${HOME:-}" ] || [ ! -w "$HOME" ]; then
    export HOME="$state/home"
fi
mkdir -p "$DFML_RUNS" "$DFML_CACHE" "$DFML_LOCKS" "$XDG_CACHE_HOME" "$HOME"
export PYTHONDONTWRITEBYTECODE=1

cd "$(dirname "$0")/.."
set -- --server.address="${ADDRESS:-0.0.0.0}" --server.port="${PORT:-7860}" --server.headless=true "$@"
if [ "${DFML_IN_FRAME:-}" = 1 ]; then
    # Within another site's frame browsers keep the cookie back that this protection compares; uploads would fail.
    set -- --server.enableXsrfProtection=false --server.enableCORS=false "$@"
fi
exec python -m streamlit run app.py "$@"
