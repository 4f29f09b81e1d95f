"""An endpoint that takes only what is signed with NOTIFY_SECRET and is not older than five minutes.

python3 endpoint.py [PORT]
"""

import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = os.environ["NOTIFY_SECRET"].encode()
OLDEST = 300


def genuine(header: str, body: bytes) -> bool:
    parts = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    stamp = parts.get("t", "")
    expected = hmac.new(SECRET, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    fresh = stamp.isdigit() and abs(time.time() - int(stamp)) <= OLDEST
    return fresh and hmac.compare_digest(expected, parts.get("v1", ""))


class Endpoint(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not genuine(self.headers.get("Haulage-Signature", ""), body):
            self.answer(401, {"error": "the signature is not right"})
            return
        job = json.loads(body)
        self.answer(200, {"notified": job["args"]["who"], "key": job["idempotency_key"]})

    def answer(self, status, value):
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8077), Endpoint)
print(f"listening on {server.server_port}", flush=True)
server.serve_forever()
