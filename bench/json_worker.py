"""A process that answers requests. A request is a line of JSON on standard input, {"do": NAME, ...}; its answer is a line on standard output."""
import json, sys


def serve(worker):
    """Answer requests: "do" names a method of the worker, the other fields are its arguments."""
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(getattr(worker, request.pop('do'))(**request)), flush=True)
