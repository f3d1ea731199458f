// Lambda's part: `node runtime.mjs <handler.mjs>` hands what the Runtime API has to the handler, one invocation after another.
//
// Lambda's own, aws-lambda-ric, compiles curl and a C++ library with CMake when it is installed. This one is there so that
// nobody needs that for a measurement. It does less: no context, no streaming, no tracing, no patched console, and none of
// the older ways of writing a handler. So its figures are in Node's favour.

import http from "node:http";
import path from "node:path";
import { pathToFileURL } from "node:url";

const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime`;
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

const { handler } = await import(pathToFileURL(path.resolve(process.argv[2])));

while (true) {
  const { headers, body } = await call("GET", "invocation/next");
  const id = headers["lambda-runtime-aws-request-id"];
  try {
    await call("POST", `invocation/${id}/response`, JSON.stringify(await handler(JSON.parse(body))));
  } catch (error) {
    const failure = { errorType: error.name, errorMessage: error.message, stackTrace: error.stack?.split("\n") ?? [] };
    await call("POST", `invocation/${id}/error`, JSON.stringify(failure));
  }
}

function call(method, resource, body) {
  return new Promise((resolve, reject) => {
    const request = http.request(`${api}/${resource}`, { method, agent }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(chunks).toString() }));
    });
    request.on("error", reject);
    request.end(body);
  });
}
