#!/usr/bin/env bash
# whatsapp-api-js 6.3.0, a library for WhatsApp's Cloud API on Node, escapes every character beyond "~" as \uXXXX before it takes a
# delivery's HMAC. Meta posts bodies that are escaped already, so its deliveries pass; whoever forwards one with the text unescaped and
# signs what is posted, or tests with a body written by JSON.stringify, is refused.
#
# Seen on 2026-11-27, Node 20.20.2; each signed over the very bytes of the body:
#   name as \u00e9   accepted
#   name as UTF-8    refused
#   name in ASCII    accepted
#
# It exits with an error if that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --ignore-scripts --no-audit --no-fund whatsapp-api-js@6.3.0
cat > judge.mjs <<'EOF'
import { createHmac } from "node:crypto";
import { WhatsAppAPI } from "whatsapp-api-js";

const secret = "app-secret";
const api = new WhatsAppAPI({ token: "t", appSecret: secret, v: "v24.0" });
const bodies = [
  ["name as \\u00e9", '{"object":"whatsapp_business_account","name":"Andr\\u00e9"}', "accepted"],
  ["name as UTF-8", '{"object":"whatsapp_business_account","name":"Andr\u00e9"}', "refused"],
  ["name in ASCII", '{"object":"whatsapp_business_account","name":"Andre"}', "accepted"],
];
for (const [title, body, seen] of bodies) {
  const signature = `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
  const now = (await api.verifyRequestSignature(body, signature)) ? "accepted" : "refused";
  console.log(`${title.padEnd(17)}${now}`);
  if (now !== seen) {
    process.exitCode = 1;
  }
}
EOF
node judge.mjs
