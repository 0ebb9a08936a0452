"""Peers that are told of alarms and asked to act: a webhook receiver and a mail server, both scripted, on free loopback ports."""

import base64
import hashlib
import hmac
import http.server
import json
import socketserver
import ssl
import threading


class Webhook:
    """Remembers what was POSTed. `answer` is the status given, with `location` when there is one; answers wait for `release`."""

    def __init__(self):
        self.calls = []
        self.answer = 200
        self.location = None
        self.release = threading.Event()
        self.release.set()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if len(body) < int(self.headers["content-length"]):
                    return  # the caller was killed before it had asked for anything
                receiver.calls.append((self.path, dict(self.headers.items()), body))
                receiver.release.wait(60)
                try:
                    self.send_response(receiver.answer)
                    if receiver.location:
                        self.send_header("location", receiver.location)
                    self.send_header("content-length", "0")
                    self.end_headers()
                except OSError:
                    pass  # the caller was killed

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def bodies(self):
        return [json.loads(body) for _, _, body in self.calls]

    def signed(self, index, secret):
        """Whether the call carries the signature that Standard Webhooks asks for."""
        headers = {name.lower(): value for name, value in self.calls[index][1].items()}
        message = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), self.calls[index][2]])
        wanted = base64.b64encode(hmac.new(secret, message, hashlib.sha256).digest()).decode()
        return headers.get("webhook-signature") == f"v1,{wanted}"

    def close(self):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Mail:
    """Speaks RFC 5321 as far as a client that sends needs it, with STARTTLS when it has a certificate and AUTH PLAIN."""

    def __init__(self, cert=None, key=None, refuse=()):
        self.mails = []      # (from, [to], text, encrypted, login)
        self.refuse = refuse  # recipients
        mail = self

        class Handler(socketserver.StreamRequestHandler):
            def say(self, text):
                self.wfile.write(text.encode() + b"\r\n")

            def handle(self):
                encrypted, login, sender, recipients = False, None, None, []
                self.say("220 test ESMTP")
                while line := self.rfile.readline():
                    word = line.decode(errors="replace").strip()
                    verb = word.upper()
                    if verb.startswith("EHLO"):
                        offers = ["test", "8BITMIME"] + (["STARTTLS"] if cert and not encrypted else []) + ["AUTH PLAIN"]
                        for i, offer in enumerate(offers):
                            self.say(f"250{'-' if i + 1 < len(offers) else ' '}{offer}")
                    elif verb == "STARTTLS":
                        self.say("220 go")
                        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                        context.load_cert_chain(cert, key)
                        self.request = context.wrap_socket(self.request, server_side=True)
                        self.setup()
                        encrypted = True
                    elif verb.startswith("AUTH PLAIN"):
                        words = word.split()
                        if len(words) < 3:
                            self.say("334 ")
                            words.append(self.rfile.readline().decode())
                        login = base64.b64decode(words[2]).split(b"\0")[1:]
                        self.say("235 welcome")
                    elif verb.startswith("MAIL FROM:"):
                        sender = word[10:].split(">")[0].strip("< ")
                        self.say("250 ok")
                    elif verb.startswith("RCPT TO:"):
                        to = word[8:].strip("<> ")
                        recipients.append(to)
                        self.say("550 nobody here" if to in mail.refuse else "250 ok")
                    elif verb == "DATA":
                        self.say("354 go on")
                        text = b""
                        while (part := self.rfile.readline()) != b".\r\n":
                            text += part[1:] if part.startswith(b".") else part
                        mail.mails.append((sender, recipients, text.decode(), encrypted, login))
                        self.say("250 taken")
                        recipients = []
                    elif verb == "QUIT":
                        self.say("221 bye")
                        return
                    else:
                        self.say("502 unknown")

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
