"""The receiver's job with boto3. The clients and the secret are made at init and kept."""

import base64
import hashlib
import hmac
import json
import logging
import os

import boto3
from botocore.exceptions import BotoCoreError, ClientError

logger = logging.getLogger()
sqs = boto3.client("sqs")
queue_url = os.environ["QUEUE_URL"]


def fetch_secret(name):
    parameter = boto3.client("ssm").get_parameter(Name=name, WithDecryption=True)
    return parameter["Parameter"]["Value"].encode()


secret = fetch_secret(os.environ["SECRET_PARAMETER"])


def handler(request, context):
    headers = request["headers"]
    text = request.get("body") or ""
    body = base64.b64decode(text) if request.get("isBase64Encoded") else text.encode()
    if not is_signed(body, headers.get("x-hub-signature-256", "")):
        return answer(401)

    event = headers.get("x-github-event")
    delivery = headers.get("x-github-delivery")
    if not event or not delivery:
        return answer(400)

    try:
        sqs.send_message(
            QueueUrl=queue_url,
            MessageBody=body.decode(),
            MessageAttributes={
                "x-github-event": {"DataType": "String", "StringValue": event},
                "x-github-delivery": {"DataType": "String", "StringValue": delivery},
            },
        )
    except (BotoCoreError, ClientError):
        logger.exception("SQS did not take the delivery %s", delivery)
        return answer(503)
    return answer(200)


def is_signed(body, header):
    expected = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), header.encode())


def answer(status):
    body = json.dumps({"ok": status == 200}, separators=(",", ":"))
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": body}
