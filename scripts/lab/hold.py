"""Holds connections to the host outside open from inside a demo host, and counts what gets through them.

usage: hold.py ADDRESS..      (port 8000)
For each address one connection asks `GET /seen/WORD` over and over, and one only listens to `GET /tick`. Every 100 ms
it prints a line of JSON: {"ADDRESS": {"answers": n, "ticks": n, "closed": null | "why"}, ..}. Ends with its stdin.
"""

import http.client
import json
import os
import sys
import threading
import time

counts = {}


def ask(address):
    connection = http.client.HTTPConnection(address, 8000)
    connection.connect()
    number = 0
    while True:
        connection.request("GET", f"/seen/held-{address}-{number}")
        connection.getresponse().read()
        number += 1
        counts[address]["answers"] = number
        time.sleep(0.05)


def listen(address):
    connection = http.client.HTTPConnection(address, 8000)
    connection.request("GET", "/tick")
    response = connection.getresponse()
    while response.readline():
        counts[address]["ticks"] += 1
    raise ConnectionError("the other side closed it")


def guarded(work, address):
    try:
        work(address)
    except Exception as error:
        counts[address]["closed"] = f"{work.__name__}: {error}"


def report():
    while True:
        print(json.dumps(counts), flush=True)
        time.sleep(0.1)


for name in sys.argv[1:]:
    counts[name] = {"answers": 0, "ticks": 0, "closed": None}
    for work in (ask, listen):
        threading.Thread(target=guarded, args=(work, name), daemon=True).start()
threading.Thread(target=report, daemon=True).start()
sys.stdin.read()
os._exit(0)
