#!/usr/bin/env bash
# The first process of a container: makes zoo.cfg out of its variables, then becomes what it is told to (docs/containers.md).
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/zkEnv.sh"
exec "$python" -I -m pyzk.server.container "$@"
