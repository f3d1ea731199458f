#!/usr/bin/env bash
# `cargo lambda watch` of cargo-lambda 1.9.2 differs from Lambda behind API Gateway or a function URL (payload format 2.0):
#
# 1. Every invocation has the deadline 600000, which is 1970-01-01T00:10:00Z. Lambda's is in the future, in milliseconds since
#    1970. A function that plans with the time that is left has none.
# 2. Without a query, `rawQueryString` is null. In AWS it is a string, and empty.
# 3. `httpMethod` says GET for a POST; `requestContext.http.method` is right.
# 4. Of a header that comes twice, only the first value arrives. API Gateway joins them by commas.
# 5. An answer without `cookies` is a 500. AWS takes it.
# 6. A function whose answer arrives in two packets, its headers before its body, is told that it was taken, and the sender is
#    not answered (or gets a 500, if the packets are close together). Python's `http.client` sends like that.
#
# The function is a Python program that speaks the Runtime API; `--only-lambda-apis` is how the tool lets another program be the
# function. Everything is on loopback. Needs Python 3.11 and cargo, whose `metadata` the tool asks.
set -euo pipefail

folder=$(mktemp -d)
watch=
finish() {
  [ -z "$watch" ] || { kill -TERM "$watch" && wait "$watch"; } 2>/dev/null || true
  rm -rf "$folder"
}
trap finish EXIT
cd "$folder"

python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check cargo-lambda==1.9.2
export PATH="$folder/python/bin:$PATH"
cargo lambda --version

mkdir -p f/src
cd f
printf '[package]\nname = "f"\nversion = "0.1.0"\nedition = "2024"\n[workspace]\n' > Cargo.toml
printf 'fn main() {}\n' > src/main.rs
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cargo lambda watch --only-lambda-apis --invoke-address 127.0.0.1 --invoke-port "$port" > ../watch.log 2>&1 &
watch=$!

python3 - "$port" <<'PYTHON' || { cat ../watch.log; exit 1; }
import http.client, json, socket, sys, threading, time

port = int(sys.argv[1])


connections = []


def call(method, path, body=b"", headers=(), pause=0):
    """One request, on a connection that stays open; in one piece, or with a pause in seconds before its body."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connections.append(connection)
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    head = "\r\n".join([*lines, "", ""]).encode()
    if pause:
        connection.sendall(head)
        time.sleep(pause)
        connection.sendall(body)
    else:
        connection.sendall(head + body)
    answer = http.client.HTTPResponse(connection, method=method)
    answer.begin()
    return answer.status, dict(answer.getheaders()), answer.read().decode()


for _ in range(100):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=30).close()
        break
    except ConnectionError:
        time.sleep(0.1)


def function(answer, seen, pause):
    """Serves one invocation, by the address that the tool prints."""
    while True:
        status, headers, body = call("GET", "/.rt/2018-06-01/runtime/invocation/next")
        if status == 200:
            break
    seen.update(deadline=headers["lambda-runtime-deadline-ms"], event=json.loads(body))
    path = f"/.rt/2018-06-01/runtime/invocation/{headers['lambda-runtime-aws-request-id']}/response"
    seen["told"] = call("POST", path, json.dumps(answer).encode(), pause=pause)[0]


def invoked(answer, pause=0):
    seen = {}
    thread = threading.Thread(target=function, args=(answer, seen, pause))
    thread.start()
    headers = [("content-type", "application/json"), ("x-tag", "one"), ("x-tag", "two")]
    try:
        status, _, _ = call("POST", "/orders", b'{"id":1}', headers)
    except TimeoutError:
        status = "none in 10 s"
    thread.join()
    return status, seen


complete = {"statusCode": 200, "headers": {"content-type": "text/plain"}, "body": "ok", "cookies": []}
status, seen = invoked(complete)
event = seen["event"]
in_two_packets, two_packets = invoked(complete, pause=0.5)
without_cookies = {name: value for name, value in complete.items() if name != "cookies"}
found = {
    "status of a complete answer": (status, 200),
    "deadline": (seen["deadline"], "600000"),
    "rawQueryString": (event["rawQueryString"], None),
    "httpMethod": (event["httpMethod"], "GET"),
    "requestContext.http.method": (event["requestContext"]["http"]["method"], "POST"),
    "x-tag: one, x-tag: two": (event["headers"]["x-tag"], "one"),
    "status of an answer without cookies": (invoked(without_cookies)[0], 500),
    "status of an answer in two packets": (in_two_packets, "none in 10 s"),
    "what its function is told": (two_packets["told"], 200),
}
for what, (is_so, expected) in found.items():
    print(f"{what}: {is_so!r}" + ("" if is_so == expected else f", and not {expected!r} any more"))
sys.exit(any(is_so != expected for is_so, expected in found.values()))
PYTHON
