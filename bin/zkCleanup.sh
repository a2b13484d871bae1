#!/usr/bin/env bash
# Removes old snapshots and logs of the server of this folder: zkCleanup.sh -n COUNT
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/zkEnv.sh"
exec "$python" -I -m pyzk.tools.main cleanup --config "$ZOOCFGDIR/zoo.cfg" "$@"
