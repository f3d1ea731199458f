// The receiver's job with the AWS SDK for JavaScript. The clients and the secret are made at init and kept.

import { createHmac, timingSafeEqual } from "node:crypto";
import { SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { GetParameterCommand, SSMClient } from "@aws-sdk/client-ssm";

const sqs = new SQSClient();
const queueUrl = process.env.QUEUE_URL;
const secret = await fetchSecret(process.env.SECRET_PARAMETER);

export async function handler(request) {
  const { headers } = request;
  const body = Buffer.from(request.body ?? "", request.isBase64Encoded ? "base64" : "utf8");
  if (!isSigned(body, headers["x-hub-signature-256"])) return answer(401);

  const event = headers["x-github-event"];
  const delivery = headers["x-github-delivery"];
  if (!event || !delivery) return answer(400);

  try {
    await sqs.send(
      new SendMessageCommand({
        QueueUrl: queueUrl,
        MessageBody: body.toString(),
        MessageAttributes: {
          "x-github-event": { DataType: "String", StringValue: event },
          "x-github-delivery": { DataType: "String", StringValue: delivery },
        },
      }),
    );
  } catch (error) {
    console.error("SQS did not take the delivery", delivery, error);
    return answer(503);
  }
  return answer(200);
}

async function fetchSecret(name) {
  const { Parameter } = await new SSMClient().send(new GetParameterCommand({ Name: name, WithDecryption: true }));
  return Parameter.Value;
}

function isSigned(body, header) {
  if (!header?.startsWith("sha256=")) return false;
  const given = Buffer.from(header.slice("sha256=".length), "hex");
  const expected = createHmac("sha256", secret).update(body).digest();
  return given.length === expected.length && timingSafeEqual(given, expected);
}

function answer(statusCode) {
  const body = JSON.stringify({ ok: statusCode === 200 });
  return { statusCode, headers: { "content-type": "application/json" }, body };
}
