#!/usr/bin/env bash
# Starts, stops and asks the server of this folder, with the words and exit codes of Apache's script.
# Usage: zkServer.sh [--config DIR] VERB [FILE]   (FILE: a name in DIR, or a path; zoo.cfg unless given)
set -euo pipefail
called=$0
. "$(dirname "$(readlink -f "$0")")/zkEnv.sh"

file=${2:-${ZOOCFG:-zoo.cfg}}
[[ $file == */* ]] || file=$ZOOCFGDIR/$file

case ${1:-} in
start | start-foreground | stop | restart | reload | status | version | print-cmd)
    exec "$python" -I -m pyzk.server.control.verbs "$1" --config "$file"
    ;;
*)
    echo "Usage: $called [--config <conf-dir>] {start|start-foreground|stop|version|restart|status|print-cmd}" >&2
    ;;
esac
