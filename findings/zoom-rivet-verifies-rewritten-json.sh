#!/usr/bin/env bash
# @zoom/rivet 0.4.0, Zoom's own library for Node, judges a webhook's signature over the body as JSON.stringify writes it anew, not over
# the bytes that were signed. So a delivery that is signed as Zoom's documentation says (HMAC-SHA256 of "v0:<timestamp>:<body>") is
# refused as soon as its JSON is written otherwise: with white space, with "\/", with 1.0.
#
# Seen on 2026-11-27, Node 20.20.2:
#   {"event":"a.b","payload":{"n":1}}       accepted
#   {"event":"a.b","payload":{"n":1.0}}     refused
#   {"event":"a.b","payload":{"u":"a\/b"}}  refused
#   {"event": "a.b","payload":{}}           refused
#
# It exits with an error if that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --ignore-scripts --no-audit --no-fund @zoom/rivet@0.4.0
cat > judge.mjs <<'EOF'
import { createHmac } from "node:crypto";
import { AwsLambdaReceiver } from "@zoom/rivet/chatbot";

// It logs each event to standard output.
console.debug = () => {};
const secret = "secret-token";
const timestamp = String(Math.floor(Date.now() / 1000));

async function judged(body) {
  const signature = `v0=${createHmac("sha256", secret).update(`v0:${timestamp}:${body}`).digest("hex")}`;
  const receiver = new AwsLambdaReceiver({ webhooksSecretToken: secret });
  receiver.init({ eventEmitter: { emit: async () => {} } });
  const headers = { "x-zm-request-timestamp": timestamp, "x-zm-signature": signature };
  const answer = await receiver.start()({ body, headers, isBase64Encoded: false }, {});
  return answer.statusCode === 200 ? "accepted" : "refused";
}

const bodies = [
  ['{"event":"a.b","payload":{"n":1}}', "accepted"],
  ['{"event":"a.b","payload":{"n":1.0}}', "refused"],
  ['{"event":"a.b","payload":{"u":"a\\/b"}}', "refused"],
  ['{"event": "a.b","payload":{}}', "refused"],
];
for (const [body, seen] of bodies) {
  const now = await judged(body);
  console.log(`${body.padEnd(40)}${now}`);
  if (now !== seen) {
    process.exitCode = 1;
  }
}
EOF
node judge.mjs 2>/dev/null
