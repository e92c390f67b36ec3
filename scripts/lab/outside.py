"""The host outside: a small HTTP service on port 8000, IPv4 and IPv6, that keeps connections open.

GET /         one line of text
GET /tick     a line every 100 ms, until the client goes away
GET /seen/ID  answers `ID` and appends `seen ID` to the log: what reached this host, even when no answer got back
"""

import http.server
import socket
import socketserver
import sys
import time


class Outside(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/tick":
            self.tick()
        elif self.path.startswith("/seen/"):
            word = self.path.removeprefix("/seen/")
            print(f"seen {word}", flush=True)
            self.answer(word)
        else:
            self.answer("hello from outside")

    def answer(self, text):
        body = (text + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def tick(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        count = 0
        while True:
            line = f"tick {count}\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            count += 1
            time.sleep(0.1)

    def handle(self):
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True

    def log_message(self, *_):
        pass


class DualStackServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = 64

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # Not HTTPServer.server_bind: it asks the name service for our own name.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]


if __name__ == "__main__":
    DualStackServer(("::", int(sys.argv[1])), Outside).serve_forever()
