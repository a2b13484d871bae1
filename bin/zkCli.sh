#!/usr/bin/env bash
# The shell, with the options of Apache's zkCli.sh: docs/tools.md.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/zkEnv.sh"
exec "$python" -I -m pyzk.tools.shell.main "$@"
