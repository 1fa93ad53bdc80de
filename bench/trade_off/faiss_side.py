"""Control FAISS: choose the fastest OPENBLAS_CORETYPE for this machine, and talk to a worker process (faiss_worker.py)."""
import importlib.util, json, os, subprocess, sys

WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'faiss_worker.py')
CORE_TYPES = ('', 'Zen', 'SkylakeX', 'Haswell')     # '' leaves the choice to OpenBLAS


def installed():
    return importlib.util.find_spec('faiss') is not None


class Faiss:
    def __init__(self, core_type='', processor=False, worker=WORKER):
        env = dict(os.environ, OMP_NUM_THREADS='1', OMP_WAIT_POLICY='passive', OPENBLAS_NUM_THREADS='1')
        if core_type:
            env['OPENBLAS_CORETYPE'] = core_type
        self.process = subprocess.Popen([sys.executable, worker] + ['--processor'] * processor, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def do(self, what, **arguments):
        self.process.stdin.write(json.dumps(dict(arguments, do=what)) + '\n')
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f'FAISS failed at {what}')
        return json.loads(answer)


def fastest_core_type():
    """Return (type, {type: seconds}). The wheel's OpenBLAS may not recognize the processor, and then runs at half the speed."""
    times = {}
    for name in CORE_TYPES:
        try:
            with Faiss(name, processor=True) as faiss:
                times[name] = faiss.do('probe')['seconds']
        except RuntimeError:    # this processor lacks the instructions
            pass
    return min(times, key=times.get), times
