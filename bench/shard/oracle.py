"""Compare the exact answers that the load computed with those of FlatMaxSim (clients/python, doc/gpu.md)."""
import os, sys
from progress import Step
from shard.ours import KINDS
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), 'clients', 'python', 'src'))
from colbert_pg import MultiVector
from colbert_pg.gpu import TOLERANCE, FlatMaxSim


def compare(conn, device):
    """Print the largest relative difference of the tenth scores, and exit if rounding does not explain it."""
    flat = FlatMaxSim(devices=device.split(','))
    with Step('oracle: documents by COPY'):
        flat.load(conn, 'passages')
    for kind in KINDS:
        sample = conn.execute('SELECT query, tenth FROM bench_exact JOIN queries USING (kind, id) WHERE kind = %s ORDER BY id', (kind,), binary=True).fetchall()
        with Step(f'oracle: {len(sample)} {kind} queries'):
            answers = flat.search([MultiVector.from_binary(query) for query, _ in sample], 10)
        worst = max(abs(hits[-1].score - tenth) / abs(tenth) for hits, (_, tenth) in zip(answers, sample))
        print(f'oracle: the tenth scores of {len(sample)} {kind} queries differ by {worst:.1e} at most, by {device}')
        if worst > TOLERANCE:
            raise SystemExit('the exact answers of the load are wrong, or those of the device')
