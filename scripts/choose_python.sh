#!/usr/bin/env bash
# Prints the first Python of at least 3.11 that can make virtual environments; says what to do where there is none.
set -euo pipefail

for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.14 python; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        echo "$candidate"
        exit 0
    fi
done
echo "No Python of 3.11 or later with venv was found. Please install one (on Debian and its kin:" >&2
echo "sudo apt-get install python3 python3-venv), or name one: make PYTHON=/path/to/python …" >&2
exit 1
