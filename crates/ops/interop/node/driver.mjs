// What the senders' libraries for Node say: a question a line on standard input, an answer a line on standard output.
//
// `load` only loads a library, which takes some of them seconds; `verify` asks whether it takes a request for genuine; `sign` has it
// sign one, where it can. What a library throws while it judges is its refusal.

import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import https from "node:https";
import { Readable } from "node:stream";

const require = createRequire(import.meta.url);
// Standard output is for answers; some libraries log there.
console.log = console.debug = console.info = console.error;

const form = (request) => {
  const fields = {};
  for (const [name, value] of new URLSearchParams(request.text)) {
    const old = fields[name];
    fields[name] = old === undefined ? value : [].concat(old, value);
  }
  return fields;
};
const isForm = (request) => (request.headers["content-type"] ?? "").startsWith("application/x-www-form-urlencoded");
const seconds = (request) => Math.floor(request.now / 1000);
const pathOf = (request) => request.url.replace(/^https?:\/\/[^/]+/, "");

const contentfulRequest = (request) => ({
  method: request.method,
  path: pathOf(request),
  headers: request.headers,
  body: request.text,
});

const libraries = {
  async "@octokit/webhooks-methods"() {
    const { sign, verify } = await import("@octokit/webhooks-methods");
    return {
      verify: (request, secret) => verify(secret, request.text, request.headers["x-hub-signature-256"]),
      sign: async (request, secret) => ({ headers: { "x-hub-signature-256": await sign(secret, request.text) } }),
    };
  },

  async stripe() {
    const { default: Stripe } = await import("stripe");
    const { webhooks } = new Stripe("sk_test_unused");
    return {
      verify: (request, secret) => webhooks.constructEvent(request.body, request.headers["stripe-signature"], secret),
      sign: (request, secret) => ({
        headers: {
          "stripe-signature": webhooks.generateTestHeaderString({
            payload: request.text,
            secret,
            timestamp: seconds(request),
          }),
        },
      }),
    };
  },

  async twilio() {
    const { default: twilio } = await import("twilio");
    return {
      verify: (request, secret) => {
        const signature = request.headers["x-twilio-signature"];
        return isForm(request)
          ? twilio.validateRequest(secret, signature, request.url, form(request))
          : twilio.validateRequestWithBody(secret, signature, request.url, request.text);
      },
      sign: (request, secret) => {
        const { getExpectedBodyHash, getExpectedTwilioSignature } = require("twilio/lib/webhooks/webhooks");
        if (isForm(request)) {
          return {
            headers: { "x-twilio-signature": getExpectedTwilioSignature(secret, request.url, form(request)) },
          };
        }
        const url = `${request.url}${request.url.includes("?") ? "&" : "?"}bodySHA256=${getExpectedBodyHash(request.text)}`;
        return { url, headers: { "x-twilio-signature": getExpectedTwilioSignature(secret, url, {}) } };
      },
    };
  },

  async square() {
    const { WebhooksHelper } = await import("square");
    return {
      verify: (request, secret) =>
        WebhooksHelper.verifySignature({
          requestBody: request.text,
          signatureHeader: request.headers["x-square-hmacsha256-signature"],
          signatureKey: secret,
          notificationUrl: request.url,
        }),
    };
  },

  async svix() {
    const { Webhook } = await import("svix");
    return standardWebhooks(Webhook, "svix");
  },

  async standardwebhooks() {
    const { Webhook } = await import("standardwebhooks");
    return standardWebhooks(Webhook, "webhook");
  },

  async "@slack/bolt"() {
    const { verifySlackRequest } = require("@slack/bolt/dist/receivers/verify-request");
    return {
      verify: (request, signingSecret) => {
        const headers = {
          "x-slack-signature": request.headers["x-slack-signature"],
          "x-slack-request-timestamp": Number(request.headers["x-slack-request-timestamp"]),
        };
        verifySlackRequest({ signingSecret, body: request.text, headers });
        return true;
      },
    };
  },

  async razorpay() {
    const { default: Razorpay } = await import("razorpay");
    return {
      verify: (request, secret) =>
        Razorpay.validateWebhookSignature(request.text, request.headers["x-razorpay-signature"], secret),
    };
  },

  async "coinbase-commerce-node"() {
    const { Webhook } = require("coinbase-commerce-node");
    return {
      verify: (request, secret) =>
        Webhook.verifyEventBody(request.text, request.headers["x-cc-webhook-signature"], secret),
      sign: (request, secret) => ({
        headers: { "x-cc-webhook-signature": Webhook.computeSignature(request.text, secret) },
      }),
    };
  },

  async "@line/bot-sdk"() {
    const { validateSignature } = await import("@line/bot-sdk");
    return {
      verify: (request, secret) => validateSignature(request.body, secret, request.headers["x-line-signature"]),
    };
  },

  async "box-node-sdk"() {
    const { WebhooksManager } = require("box-node-sdk/lib/managers/webhooks");
    return {
      verify: (request, secret) => WebhooksManager.validateMessage(request.text, request.headers, secret),
    };
  },

  async "@adyen/api-library"() {
    const { hmacValidator: HmacValidator } = require("@adyen/api-library");
    const validator = new HmacValidator();
    const items = (body) => body.notificationItems.map((item) => item.NotificationRequestItem);
    return {
      verify: (request, secret) => {
        const signature = request.headers.hmacsignature;
        return signature === undefined
          ? items(JSON.parse(request.text)).every((item) => validator.validateHMAC(item, secret))
          : validator.validateHMACSignature(secret, signature, request.text);
      },
      sign: (request, secret) => {
        if (request.scheme === "header") {
          return { headers: { hmacsignature: validator.calculateHmac(request.text, secret) } };
        }
        const body = JSON.parse(request.text);
        for (const item of items(body)) {
          item.additionalData = { ...item.additionalData, hmacSignature: validator.calculateHmac(item, secret) };
        }
        return { headers: {}, body: Buffer.from(JSON.stringify(body)) };
      },
    };
  },

  async "@hubspot/api-client"() {
    const { Signature } = await import("@hubspot/api-client");
    const options = (request, clientSecret) => ({
      clientSecret,
      requestBody: request.text,
      url: request.url,
      timestamp: Number(request.headers["x-hubspot-request-timestamp"] ?? request.now),
    });
    const headerOf = (scheme) => (scheme === "v3" ? "x-hubspot-signature-v3" : "x-hubspot-signature");
    return {
      verify: (request, secret) =>
        Signature.isValid({
          ...options(request, secret),
          method: request.method,
          signatureVersion: request.scheme,
          signature: request.headers[headerOf(request.scheme)],
        }),
      sign: (request, secret) => ({
        headers: {
          "x-hubspot-request-timestamp": String(request.now),
          [headerOf(request.scheme)]: Signature.getSignature(request.method, request.scheme, options(request, secret)),
        },
      }),
    };
  },

  async "@paddle/paddle-node-sdk"() {
    const { Paddle } = await import("@paddle/paddle-node-sdk");
    const { webhooks } = new Paddle("unused");
    return {
      verify: (request, secret) => webhooks.isSignatureValid(request.text, secret, request.headers["paddle-signature"]),
    };
  },

  async "@linear/sdk"() {
    const { LinearWebhookClient } = await import("@linear/sdk/webhooks");
    return {
      verify: (request, secret) =>
        new LinearWebhookClient(secret).verify(request.body, request.headers["linear-signature"]),
    };
  },

  async "@contentful/node-apps-toolkit"() {
    const { signRequest, verifyRequest } = await import("@contentful/node-apps-toolkit");
    return {
      verify: (request, secret) => verifyRequest(secret, contentfulRequest(request)),
      sign: (request, secret) => ({ headers: signRequest(secret, contentfulRequest(request), request.now) }),
    };
  },

  async jsonwebtoken() {
    const { default: jwt } = await import("jsonwebtoken");
    return {
      verify: (request, secret) => jwt.verify(request.headers.authorization, secret),
      sign: (request, secret) => ({
        headers: { authorization: jwt.sign({ exp: seconds(request) + 300 }, secret) },
      }),
    };
  },

  async "mailgun-js"() {
    const mailgun = require("mailgun-js");
    return {
      verify: (request, secret) => {
        const { timestamp, token, signature } = JSON.parse(request.text).signature;
        return mailgun({ apiKey: secret, domain: "unused.example", mute: true }).validateWebhook(timestamp, token, signature);
      },
    };
  },

  async cloudevents() {
    const { CloudEvent, HTTP } = await import("cloudevents");
    return {
      verify: (request) => HTTP.toEvent({ headers: request.headers, body: request.text }).validate(),
      sign: (request) => {
        const event = new CloudEvent({
          id: "A234-1234-1234",
          source: "https://sender.example/orders",
          type: "com.example.order.created",
          data: JSON.parse(request.text),
        });
        const { headers, body } = request.mode === "structured" ? HTTP.structured(event) : HTTP.binary(event);
        return { headers, body: Buffer.from(body) };
      },
    };
  },

  async "@zoom/rivet"() {
    const { AwsLambdaReceiver } = await import("@zoom/rivet/chatbot");
    return {
      verify: async (request, webhooksSecretToken) => {
        const receiver = new AwsLambdaReceiver({ webhooksSecretToken });
        receiver.init({ eventEmitter: { emit: async () => {} } });
        const answer = await receiver.start()({ body: request.text, headers: request.headers, isBase64Encoded: false }, {});
        return answer.statusCode === 200;
      },
    };
  },

  async "whatsapp-api-js"() {
    const { WhatsAppAPI } = await import("whatsapp-api-js");
    return {
      verify: (request, appSecret) =>
        new WhatsAppAPI({ token: "unused", appSecret }).verifyRequestSignature(
          request.text,
          request.headers["x-hub-signature-256"],
        ),
    };
  },

  async "@shopify/shopify-api"() {
    await import("@shopify/shopify-api/adapters/web-api");
    const { ApiVersion, shopifyApi } = await import("@shopify/shopify-api");
    return {
      verify: async (request, secret) => {
        const shopify = shopifyApi({
          apiKey: "unused",
          apiSecretKey: secret,
          apiVersion: Object.values(ApiVersion)[0],
          scopes: ["read_orders"],
          hostName: "wharf.example",
          isEmbeddedApp: false,
          logger: { log: () => {} },
        });
        const rawRequest = new Request(request.url, { method: request.method, headers: request.headers, body: request.body });
        const judged = await shopify.webhooks.validate({ rawBody: request.text, rawRequest });
        if (!judged.valid) {
          throw new Error([judged.reason, ...(judged.missingHeaders ?? [])].join(" "));
        }
        return true;
      },
    };
  },

  async "discord-interactions"() {
    const { verifyKey } = await import("discord-interactions");
    return {
      verify: (request, publicKey) =>
        verifyKey(
          request.body,
          request.headers["x-signature-ed25519"],
          request.headers["x-signature-timestamp"],
          publicKey,
        ),
    };
  },

  async "@sendgrid/eventwebhook"() {
    const { EventWebhook } = require("@sendgrid/eventwebhook");
    return {
      verify: (request, publicKey) => {
        const webhook = new EventWebhook();
        return webhook.verifySignature(
          webhook.convertPublicKeyToECDSA(publicKey),
          request.body,
          request.headers["x-twilio-email-event-webhook-signature"],
          request.headers["x-twilio-email-event-webhook-timestamp"],
        );
      },
    };
  },

  async "sns-validator"() {
    const MessageValidator = require("sns-validator");
    return {
      verify: (request) => {
        // The certificate comes from the question, whatever its address: only the fetch is stood in for.
        https.get = (_address, answer) => {
          answer(Object.assign(Readable.from([request.certificate]), { statusCode: 200 }));
          return { on: () => {} };
        };
        return new Promise((resolve, reject) => {
          new MessageValidator().validate(request.text, (error) => (error ? reject(error) : resolve(true)));
        });
      },
    };
  },

  async "twitter-autohook"() {
    const { validateSignature } = require("twitter-autohook");
    return {
      verify: (request, consumer_secret) => validateSignature(request.headers, { consumer_secret }, request.body),
    };
  },

  async grammy() {
    const { Bot, webhookCallback } = await import("grammy");
    const botInfo = { id: 1, is_bot: true, first_name: "Wharf", username: "wharf_bot" };
    return {
      verify: async (request, secretToken) => {
        const handle = webhookCallback(new Bot("1:unused", { botInfo }), "std/http", { secretToken });
        const { url, method, headers, body } = request;
        const answer = await handle(new Request(url, { method, headers, body }));
        return answer.status === 200;
      },
    };
  },
};

function standardWebhooks(Webhook, family) {
  return {
    verify: (request, secret) => {
      new Webhook(secret).verify(request.text, request.headers);
      return true;
    },
    sign: (request, secret) => {
      const id = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W";
      return {
        headers: {
          [`${family}-id`]: id,
          [`${family}-timestamp`]: String(seconds(request)),
          [`${family}-signature`]: new Webhook(secret).sign(id, new Date(request.now), request.text),
        },
      };
    },
  };
}

const loaded = new Map();

async function answered({ library: name, ask, secret, ...request }) {
  if (!loaded.has(name)) {
    loaded.set(name, await libraries[name]());
  }
  if (ask === "load") {
    return {};
  }
  const library = loaded.get(name);
  const body = Buffer.from(request.body, "base64");
  const read = { ...request, body, text: body.toString("utf8") };
  if (ask === "sign") {
    const { body, ...signed } = await library.sign(read, secret);
    return { ...signed, body: body?.toString("base64") };
  }
  try {
    const accepted = Boolean(await library.verify(read, secret));
    return { accepted };
  } catch (error) {
    return { accepted: false, said: String(error?.message ?? error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await answered(JSON.parse(line)).catch((error) => ({ failed: String(error?.stack ?? error) }));
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
