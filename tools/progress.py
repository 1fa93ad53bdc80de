"""Progress lines: a label; on a terminal also the elapsed seconds and a detail; at the end the time taken."""
import sys, threading, time

TERMINAL = sys.stdout.isatty()


class Step:
    """with Step('loading') as step: ... step.detail = '3 of 10'"""

    def __init__(self, label):
        self.label, self.detail, self.result = label, '', ''
        self.done = threading.Event()

    def tick(self):
        while not self.done.wait(.2 if TERMINAL else 2):
            if TERMINAL:
                print(f'\r\033[K{self.label:34}{self.seconds:4.0f} s  {self.detail:.60}', end='', flush=True)
            else:
                print('.', end='', flush=True)

    @property
    def seconds(self):
        return time.time() - self.start

    def __enter__(self):
        self.start = time.time()
        if not TERMINAL:
            print(f'{self.label:34}', end='', flush=True)
        self.ticker = threading.Thread(target=self.tick, daemon=True)
        self.ticker.start()
        return self

    def __exit__(self, failure, *_):
        self.seconds_taken = self.seconds
        self.done.set()
        self.ticker.join()
        if TERMINAL:
            print(f'\r\033[K{self.label:34}', end='')
        print(' failed' if failure else f'{self.seconds_taken:5.0f} s  {self.result}'.rstrip(), flush=True)
