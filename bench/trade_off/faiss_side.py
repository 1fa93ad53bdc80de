"""FAISS from the outside: which OPENBLAS_CORETYPE serves it best here, and a process that does what it is asked (faiss_worker.py)."""
import importlib.util, json, os, subprocess, sys

WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'faiss_worker.py')
CORE_TYPES = ('', 'Zen', 'SkylakeX', 'Haswell')     # '' is OpenBLAS's own choice


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
    """The wheel's OpenBLAS may not know the processor, and then runs at half its speed. Returns (type, {type: seconds})."""
    times = {}
    for name in CORE_TYPES:
        try:
            with Faiss(name, processor=True) as faiss:
                times[name] = faiss.do('probe')['seconds']
        except RuntimeError:    # its instructions are not those of this processor
            pass
    return min(times, key=times.get), times
