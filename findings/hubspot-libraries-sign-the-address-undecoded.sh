#!/usr/bin/env bash
# HubSpot's documentation of its v3 signature has the receiver decode twelve escapes of the address (%3A to ":", %2F to "/", ...) before
# it hashes. HubSpot's own libraries hash the address that they are given. So what is signed as one of them says is refused by the other
# as soon as such an escape is in the query: the receiver has to try both.
# (developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation)
#
# Seen on 2026-11-27, @hubspot/api-client 13.5.0 of npm with Node 20.20.2, hubspot-api-client 12.0.0 of PyPI with Python 3.11.7:
#   node    address as it is: accepted    decoded, as documented: refused
#   python  address as it is: accepted    decoded, as documented: refused
#
# It exits with an error if that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --ignore-scripts --no-audit --no-fund @hubspot/api-client@13.5.0
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check hubspot-api-client==12.0.0
cat > judge.mjs <<'EOF'
import { createHmac } from "node:crypto";
import { Signature } from "@hubspot/api-client";

const url = "https://hooks.example.com/hubspot?from=a%3Ab";
const timestamp = Date.now();
const judged = (signedUrl) => {
  const signature = createHmac("sha256", "secret").update(`POST${signedUrl}[]${timestamp}`).digest("base64");
  const options = { signature, clientSecret: "secret", requestBody: "[]", url, timestamp };
  return Signature.isValid({ ...options, method: "POST", signatureVersion: "v3" }) ? "accepted" : "refused";
};
const [plain, decoded] = [judged(url), judged(url.replaceAll("%3A", ":"))];
console.log(`node    address as it is: ${plain}    decoded, as documented: ${decoded}`);
process.exitCode = plain === "accepted" && decoded === "refused" ? 0 : 1;
EOF
cat > judge.py <<'EOF'
import base64, hashlib, hmac, sys, time
from hubspot.utils.signature import Signature

url = "https://hooks.example.com/hubspot?from=a%3Ab"
timestamp = str(int(time.time() * 1000))


def judged(signed_url):
    digest = hmac.new(b"secret", f"POST{signed_url}[]{timestamp}".encode(), hashlib.sha256).digest()
    valid = Signature.is_valid(
        signature=base64.b64encode(digest).decode(),
        client_secret="secret",
        request_body="[]",
        http_uri=url,
        http_method="POST",
        signature_version="v3",
        timestamp=timestamp,
    )
    return "accepted" if valid else "refused"


plain, decoded = judged(url), judged(url.replace("%3A", ":"))
print(f"python  address as it is: {plain}    decoded, as documented: {decoded}")
sys.exit(0 if (plain, decoded) == ("accepted", "refused") else 1)
EOF
node judge.mjs
venv/bin/python judge.py
