"""A process that embeds: embed_process.py DSN SECONDS [OPTION=VALUE]..., SECONDS per text.

It prints a line, and begins when it gets one. Then it prints each text that it has encoded.
"""

from __future__ import annotations

import json
import signal
import sys
import time

from fake_encoder import FakeEncoder

from colbert_pg.embed import Job, embed


def main() -> None:
    # A script starts jobs in the background with interrupts ignored, also those that run tests.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    dsn, seconds, *options = sys.argv[1:]
    encoder = FakeEncoder()

    def before(texts: list[str]) -> None:
        for text in texts:
            time.sleep(float(seconds))
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    encoder.before = before
    print("ready", flush=True)
    sys.stdin.readline()
    pairs = (option.split("=", 1) for option in options)
    embed(dsn, Job("docs"), encoder, name="fake", **{name: json.loads(v) for name, v in pairs})


if __name__ == "__main__":
    main()
