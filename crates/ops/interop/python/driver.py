"""What the senders' libraries for Python say: a question a line on standard input, an answer a line on standard output.

`load` only loads a library, which takes some of them seconds; `verify` asks whether it takes a request for genuine; `sign` has it
sign one, where it can. What a library raises while it judges is its refusal.
"""

import base64
import hashlib
import json
import sys
from datetime import datetime, timezone
from types import SimpleNamespace
from urllib.parse import parse_qsl

ANSWERS = sys.stdout
# Standard output is for answers; some libraries print there.
sys.stdout = sys.stderr


class Request:
    def __init__(self, question):
        self.method = question["method"]
        self.url = question["url"]
        self.headers = question["headers"]
        self.body = base64.b64decode(question["body"])
        self.now = question["now"]
        self.scheme = question.get("scheme", "")
        self.mode = question.get("mode", "")

    @property
    def text(self):
        return self.body.decode("utf-8")

    @property
    def seconds(self):
        return self.now // 1000

    @property
    def is_form(self):
        return self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")

    def form(self):
        """The fields as Flask has them: a plain dictionary has no place for a field's second value."""
        from werkzeug.datastructures import MultiDict

        return MultiDict(parse_qsl(self.text, keep_blank_values=True))


def gidgethub():
    from gidgethub import sansio

    def verify(request, secret):
        sansio.validate_event(request.body, signature=request.headers["x-hub-signature-256"], secret=secret)
        return True

    return verify, None


def gidgetlab():
    from gidgetlab import sansio

    def verify(request, secret):
        sansio.Event.from_http(request.headers, request.body, secret=secret)
        return True

    return verify, None


def stripe():
    import stripe

    def verify(request, secret):
        stripe.Webhook.construct_event(request.body, request.headers["stripe-signature"], secret)
        return True

    return verify, None


def twilio():
    from twilio.request_validator import RequestValidator

    def verify(request, secret):
        params = request.form() if request.is_form else request.text
        return RequestValidator(secret).validate(request.url, params, request.headers["x-twilio-signature"])

    def sign(request, secret):
        validator = RequestValidator(secret)
        if request.is_form:
            return {"headers": {"x-twilio-signature": validator.compute_signature(request.url, request.form())}}
        digest = hashlib.sha256(request.body).hexdigest()
        url = f"{request.url}{'&' if '?' in request.url else '?'}bodySHA256={digest}"
        return {"url": url, "headers": {"x-twilio-signature": validator.compute_signature(url, {})}}

    return verify, sign


def squareup():
    from square.utils.webhooks_helper import verify_signature

    def verify(request, secret):
        return verify_signature(
            request_body=request.text,
            signature_header=request.headers["x-square-hmacsha256-signature"],
            signature_key=secret,
            notification_url=request.url,
        )

    return verify, None


def standard_webhooks(webhook, family):
    def verify(request, secret):
        webhook(secret).verify(request.body, request.headers)
        return True

    def sign(request, secret):
        id = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"
        at = datetime.fromtimestamp(request.seconds, tz=timezone.utc)
        return {
            "headers": {
                f"{family}-id": id,
                f"{family}-timestamp": str(request.seconds),
                f"{family}-signature": webhook(secret).sign(id, at, request.text),
            }
        }

    return verify, sign


def svix():
    from svix.webhooks import Webhook

    return standard_webhooks(Webhook, "svix")


def standardwebhooks():
    from standardwebhooks.webhooks import Webhook

    return standard_webhooks(Webhook, "webhook")


def slack_sdk():
    from slack_sdk.signature import SignatureVerifier

    def verify(request, secret):
        return SignatureVerifier(secret).is_valid_request(request.body, request.headers)

    def sign(request, secret):
        timestamp = str(request.seconds)
        signature = SignatureVerifier(secret).generate_signature(timestamp=timestamp, body=request.body)
        return {"headers": {"x-slack-request-timestamp": timestamp, "x-slack-signature": signature}}

    return verify, sign


def razorpay():
    import razorpay

    def verify(request, secret):
        client = razorpay.Client(auth=("unused", "unused"))
        return client.utility.verify_webhook_signature(request.text, request.headers["x-razorpay-signature"], secret)

    return verify, None


def coinbase_commerce():
    from coinbase_commerce.webhook import Webhook

    def verify(request, secret):
        return Webhook.construct_event(request.text, request.headers["x-cc-webhook-signature"], secret) is not None

    return verify, None


def line_bot_sdk():
    from linebot.v3.webhook import SignatureValidator

    def verify(request, secret):
        return SignatureValidator(secret).validate(request.text, request.headers["x-line-signature"])

    return verify, None


def boxsdk():
    from box_sdk_gen.managers.webhooks import WebhooksManager

    def verify(request, secret):
        return WebhooksManager.validate_message(request.text, request.headers, secret)

    return verify, None


def adyen():
    from Adyen import util

    def verify(request, secret):
        signature = request.headers.get("hmacsignature")
        if signature is not None:
            return util.is_valid_hmac_payload(signature, secret, request.body)
        items = json.loads(request.body)["notificationItems"]
        return all(util.is_valid_hmac_notification(item["NotificationRequestItem"], secret) for item in items)

    def sign(request, secret):
        if request.scheme == "header":
            return {"headers": {"hmacsignature": util.generate_payload_sig(request.body, secret).decode()}}
        body = json.loads(request.body)
        for item in body["notificationItems"]:
            item = item["NotificationRequestItem"]
            signature = util.generate_notification_sig(item, secret).decode()
            item["additionalData"] = {**item.get("additionalData", {}), "hmacSignature": signature}
        return {"headers": {}, "body": json.dumps(body)}

    return verify, sign


def hubspot_api_client():
    from hubspot.utils.signature import Signature

    header_of = {"v3": "x-hubspot-signature-v3"}

    def verify(request, secret):
        return Signature.is_valid(
            signature=request.headers[header_of.get(request.scheme, "x-hubspot-signature")],
            client_secret=secret,
            request_body=request.text,
            http_uri=request.url,
            http_method=request.method,
            signature_version=request.scheme,
            timestamp=request.headers.get("x-hubspot-request-timestamp"),
        )

    def sign(request, secret):
        timestamp = str(request.now)
        signature = Signature.get_signature(
            secret, request.text, request.scheme, request.url, request.method, timestamp
        )
        name = header_of.get(request.scheme, "x-hubspot-signature")
        return {"headers": {"x-hubspot-request-timestamp": timestamp, name: signature}}

    return verify, sign


def paddle_python_sdk():
    from paddle_billing.Notifications import Secret, Verifier

    def verify(request, secret):
        headers = {"Paddle-Signature": request.headers["paddle-signature"]}
        return Verifier().verify(SimpleNamespace(headers=headers, body=request.body), Secret(secret))

    return verify, None


def cloudevents():
    from cloudevents.core.bindings import http
    from cloudevents.core.v1.event import CloudEvent

    def verify(request, secret):
        message = http.HTTPMessage(headers=request.headers, body=request.body)
        return http.from_http_event(message) is not None

    def sign(request, secret):
        attributes = {
            "id": "A234-1234-1234",
            "source": "https://sender.example/orders",
            "specversion": "1.0",
            "type": "com.example.order.created",
            "time": datetime.fromtimestamp(request.seconds, tz=timezone.utc),
            "datacontenttype": "application/json",
        }
        event = CloudEvent(attributes, json.loads(request.body))
        made = http.to_structured_event(event) if request.mode == "structured" else http.to_binary_event(event)
        return {"headers": dict(made.headers), "body": made.body.decode("utf-8")}

    return verify, sign


def discord_interactions():
    from discord_interactions import verify_key

    def verify(request, public_key):
        headers = request.headers
        return verify_key(request.body, headers["x-signature-ed25519"], headers["x-signature-timestamp"], public_key)

    return verify, None


def sendgrid():
    from sendgrid.helpers.eventwebhook import EventWebhook

    def verify(request, public_key):
        return EventWebhook(public_key).verify_signature(
            request.text,
            request.headers["x-twilio-email-event-webhook-signature"],
            request.headers["x-twilio-email-event-webhook-timestamp"],
        )

    return verify, None


def pywa():
    from pywa.utils import webhook_updates_validator

    def verify(request, secret):
        return webhook_updates_validator(secret, request.body, request.headers["x-hub-signature-256"])

    return verify, None


def pyjwt():
    import jwt

    def verify(request, secret):
        return jwt.decode(request.headers["authorization"], secret, algorithms=["HS256"]) is not None

    def sign(request, secret):
        token = jwt.encode({"exp": request.seconds + 300}, secret, algorithm="HS256")
        return {"headers": {"authorization": token}}

    return verify, sign


LIBRARIES = {
    "gidgethub": gidgethub,
    "gidgetlab": gidgetlab,
    "stripe": stripe,
    "twilio": twilio,
    "squareup": squareup,
    "svix": svix,
    "standardwebhooks": standardwebhooks,
    "slack_sdk": slack_sdk,
    "razorpay": razorpay,
    "coinbase-commerce": coinbase_commerce,
    "line-bot-sdk": line_bot_sdk,
    "boxsdk": boxsdk,
    "Adyen": adyen,
    "hubspot-api-client": hubspot_api_client,
    "paddle-python-sdk": paddle_python_sdk,
    "cloudevents": cloudevents,
    "discord-interactions": discord_interactions,
    "sendgrid": sendgrid,
    "pywa": pywa,
    "PyJWT": pyjwt,
}


def answer(question, loaded):
    name = question["library"]
    if name not in loaded:
        loaded[name] = LIBRARIES[name]()
    if question["ask"] == "load":
        return {}
    verify, sign = loaded[name]
    request = Request(question)
    if question["ask"] == "sign":
        signed = sign(request, question["secret"])
        if "body" in signed:
            signed["body"] = base64.b64encode(signed["body"].encode("utf-8")).decode("ascii")
        return signed
    try:
        return {"accepted": bool(verify(request, question["secret"]))}
    except Exception as error:  # A library's refusal, whatever its class.
        return {"accepted": False, "said": f"{type(error).__name__}: {error}"}


def main():
    loaded = {}
    for line in sys.stdin:
        try:
            answered = answer(json.loads(line), loaded)
        except Exception as error:
            answered = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answered), file=ANSWERS, flush=True)


main()
