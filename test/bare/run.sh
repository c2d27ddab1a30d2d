#!/usr/bin/env bash
# `npm ci`, `npm run demo` and `npm test` of the last commit as on a bare machine: in a clone that no other user may
# enter, with the programs below and no others. There is no redis-server, chromium, psql or python3.
set -euo pipefail
PROGRAMS=(node npm git sh env id head)

# mktemp makes it for its owner alone.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/bin"
for program in "${PROGRAMS[@]}"; do ln -s "$(command -v "$program")" "$folder/bin/$program"; done
git clone --quiet "$(dirname "$0")/../.." "$folder/clone"
cd "$folder/clone"

# What the run around this one may have set.
unset ALL_SERVERS DATABASE_URL REDIS_URL
bare() { env PATH="$folder/bin" CI=true "$@"; }

bare npm ci
bare npm run demo
bare npm test 2>&1 | tee "$folder/log"

# All of Redis, and the example in Python.
grep -E '^Left out for want of a server: [1-9][0-9]* tests \(python3 [0-9]+, redis-server [0-9]+\)$' "$folder/log"
if bare ALL_SERVERS=true npm run -s jest -- test/docs/python; then
  echo 'With ALL_SERVERS=true a missing server is no failure.' >&2
  exit 1
fi
