"""TAP output for the checks written in Python."""
import traceback
from collections.abc import Callable


def report(results: dict[str, list[str]]) -> bool:
    """Report one test per name, which passes if it has no findings. Return true if any test failed."""
    for number, (name, findings) in enumerate(results.items(), 1):
        print(f'{"not ok" if findings else "ok"} {number} - {name}')
        for finding in findings:
            print(f'# {finding}')
    print(f'1..{len(results)}')
    return any(results.values())


def report_properties(*properties: Callable[[], None]) -> bool:
    """Call functions, whose names are their docstrings. Return true if any raised an exception, which is reported."""
    found: dict[str, list[str]] = {}
    for check in properties:
        name = check.__doc__ or check.__name__
        found[name] = []
        try:
            check()
        except Exception:
            found[name] = traceback.format_exc().splitlines()
    return report(found)
