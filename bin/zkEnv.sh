# Read by the scripts beside it: where this installation, its configuration and its interpreter are.
# Takes `--config DIR` off the arguments. The environment counts as for Apache's scripts: ZOOCFGDIR, ZOO_LOG_DIR.
home=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)

if [ "${1:-}" = --config ]; then
    ZOOCFGDIR=${2:?--config needs a folder}
    shift 2
elif [ -z "${ZOOCFGDIR:-}" ]; then
    ZOOCFGDIR=$home/conf
    [ -d "$ZOOCFGDIR" ] || ZOOCFGDIR=$home/etc/zookeeper
fi
ZOOCFGDIR=$(cd "$ZOOCFGDIR" && pwd)
for file in zookeeper-env.sh java.env; do
    if [ -r "$ZOOCFGDIR/$file" ]; then
        set +eu # written for a shell that goes on
        . "$ZOOCFGDIR/$file"
        set -eu
    fi
done
export ZOOCFGDIR ZOO_LOG_DIR="${ZOO_LOG_DIR:-$home/logs}"

python=$home/.venv/bin/python
if [ ! -x "$python" ]; then
    echo "$home has no interpreter: run scripts/install there, or scripts/install-zk $home" >&2
    exit 1
fi
