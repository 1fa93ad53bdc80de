"""TAP output for the checks written in Python."""


def report(results: dict[str, list[str]]) -> bool:
    """Report one test per name, which passes if it has no findings. Return true if any test failed."""
    for number, (name, findings) in enumerate(results.items(), 1):
        print(f'{"not ok" if findings else "ok"} {number} - {name}')
        for finding in findings:
            print(f'# {finding}')
    print(f'1..{len(results)}')
    return any(results.values())
