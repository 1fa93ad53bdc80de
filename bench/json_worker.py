"""A process that answers requests: a line of JSON on standard input, {"do": NAME, ...}, an answer a line on standard output."""
import json, sys


def serve(worker):
    """The names are the worker's methods, the rest their arguments."""
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(getattr(worker, request.pop('do'))(**request)), flush=True)
