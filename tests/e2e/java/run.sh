#!/usr/bin/env bash
# A stranger's Java client, made of the .proto files alone, against a real gateway on loopback: it logs in, uploads a batch
# and proves its receipt. With grpcurl on the path, its commands of docs/integrate.md are run too. Needs JDK >= 17 and Maven.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
gateway() { "$python" -m gateway "$@" --lang en; }
value() { "$python" -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

for tool in java javac mvn; do
  if ! command -v "$tool" >/dev/null; then
    echo "e2e-java: skipped, there is no $tool here"
    exit 0
  fi
done

work=$(mktemp -d /tmp/gw-java.XXXXXX)
chmod 711 "$work"
port=$((20000 + RANDOM % 1200 * 10))
address=127.0.1.$((RANDOM % 200 + 10))
county=140105 city=140100 unit=1401050003
serving=
finish() {
  if [ -n "$serving" ]; then
    kill -TERM "$serving" 2>/dev/null || true
    wait "$serving" 2>/dev/null || true
  fi
  rm -rf "$work"
}
trap finish EXIT

echo "e2e-java: a gateway at $address, ports from $port"
gateway init "$work/home" --base-port "$port" --json >/dev/null 2>"$work/init.log"
"$python" - "$work/home/settings.toml" "$address" "$county" <<'PY'
import sys
from pathlib import Path

path, address, county = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
text = path.read_text()
text = text.replace("allow_weak_origin = false", "allow_weak_origin = true")
text = text.replace('listen = ["127.0.0.1"]', f'listen = ["127.0.0.1", "{address}"]')
for code, listen in (("140000", "127.0.0.1"), (county, address)):
    text += f'\n[[origin.static]]\norganisation = "{code}"\nlisten = "{listen}"\n'
path.write_text(text)
PY
"$python" -m gateway serve "$work/home" --lang en >"$work/serve.log" 2>&1 &
serving=$!
for _ in $(seq 150); do
  grep -q "the gateway serves" "$work/serve.log" && break
  kill -0 "$serving" 2>/dev/null || { cat "$work/serve.log"; exit 1; }
  sleep 0.2
done

admin=$work/home/admin
printf 'Admin-Of-The-Province-%s\n' "$RANDOM$RANDOM" >"$work/admin-password"
gateway passwd -p "$admin" --new-password-file "$work/admin-password" --json >/dev/null
gateway organisation add "$city" --name 太原市 --kind city --parent 140000 -p "$admin" --json >/dev/null
gateway organisation add "$county" --name 小店区 --kind county --parent "$city" -p "$admin" --json >/dev/null
gateway sample --seed 1 --children 1 --county "$county" --out "$work/sample" --json >/dev/null
gateway unit add "$work/sample/units.csv" -p "$admin" --json >/dev/null
papers=$work/papers
mkdir "$papers"
for system in java grpcurl; do
  gateway system add "$county" "$system" -p "$admin" --json >/dev/null
  gateway account add "$county" "$system" --role uploader --system "$system" -p "$admin" --json |
    value one_time_password >"$papers/password-$system"
  gateway certificate issue "$work/home" --organisation "$county" --system "$system" --out "$papers/$system" --json >/dev/null
  cp "$work/home/public/log.vkey" "$papers/$system/log.vkey"
  mv "$papers/password-$system" "$papers/$system/password"
  printf 'Stranger-With-A-Certificate-%s\n' "$RANDOM$RANDOM" >"$papers/$system/new-password"
done

echo "e2e-java: building"
mvn -B -q -f "$here/pom.xml" -DbuildDirectory="$work/target" compile
mvn -B -q -f "$here/pom.xml" -DbuildDirectory="$work/target" exec:java \
  -Dexec.args="$papers/java $address gateway.invalid $((port + 3)) $port $county java $unit" | tee "$work/out"
grep -q "ITEM_STATE_ACCEPTED" "$work/out"
grep -q "^proven: entry" "$work/out"

if command -v grpcurl >/dev/null; then
  "$here/grpcurl.sh" "$papers/grpcurl" "$address" "$port" "$unit" | tee "$work/out"
  grep -q "ITEM_STATE_ACCEPTED" "$work/out"
else
  echo "e2e-java: grpcurl is not here, its part is skipped"
fi
echo "e2e-java: a stranger's client logged in, uploaded a batch and proved its receipt"
