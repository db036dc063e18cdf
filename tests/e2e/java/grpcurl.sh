#!/usr/bin/env bash
# The grpcurl commands of docs/integrate.md: log in, change a one-time password, upload one batch.
# grpcurl.sh PAPERS HOST IDENTITY_PORT INTAKE_PORT SERVER_NAME ACCOUNT UNIT
# PAPERS holds root.pem, certificate.pem, key.pem, password; new-password where the first is a one-time password.
set -euo pipefail
papers=$1 host=$2 identity=$3 intake=$4 name=$5 account=$6 unit=$7
proto=$(cd "$(dirname "$0")/../../../proto" && pwd)
new_id() { cat /proc/sys/kernel/random/uuid; }

# call PORT FILE METHOD [TOKEN]: the message comes on standard input, so that no password is seen by `ps`.
call() {
  grpcurl -cacert "$papers/root.pem" -cert "$papers/certificate.pem" -key "$papers/key.pem" \
    -servername "$name" -max-time 20 -import-path "$proto" -proto "gateway/v1/$2" \
    ${4:+-H "authorization: Bearer $4"} -d @ "$host:$1" "gateway.v1.$3"
}
token() { sed -n 's/.*"accessToken": "\(.*\)".*/\1/p'; }

token=$(printf '{"account_name": "%s", "password": "%s"}' "$account" "$(cat "$papers/password")" |
  call "$identity" identity_service.proto IdentityService/Login | token)
if [ -e "$papers/new-password" ]; then
  token=$(printf '{"request_id": "%s", "old_password": "%s", "new_password": "%s"}' \
    "$(new_id)" "$(cat "$papers/password")" "$(cat "$papers/new-password")" |
    call "$identity" identity_service.proto IdentityService/ChangePassword "$token" | token)
fi

call "$intake" upload_service.proto UploadService/UploadBatches "$token" <<JSON
{
  "request_id": "$(new_id)",
  "unit_code": "$unit",
  "sequence": 1,
  "schema_version": "2026-1",
  "client_version": "grpcurl",
  "lane": "LANE_LIVE",
  "made_time": "$(date -u +%Y-%m-%dT%H:%M:%SZ)",
  "items": [{"child": {
    "child_code": "${unit}20260002", "name": "李沐辰", "sex": "SEX_MALE", "birth_date": {"year": 2026, "month": 5, "day": 9},
    "document": "IDENTITY_DOCUMENT_NOT_YET_OBTAINED",
    "guardians": [{"relation": "RELATION_FATHER", "name": "李建军", "phone": "15400000002"}],
    "household": {"division_code": "${unit:0:6}", "detail": "学府街2号院3号楼"},
    "residence": {"division_code": "${unit:0:6}", "detail": "学府街2号院3号楼"},
    "household_category": "HOUSEHOLD_CATEGORY_THIS_COUNTY", "residence_type": "RESIDENCE_TYPE_LOCAL",
    "status": "REGISTER_STATUS_ACTIVE", "file_unit_code": "$unit", "current_unit_code": "$unit",
    "filed_date": {"year": 2026, "month": 5, "day": 20}}}]
}
JSON
