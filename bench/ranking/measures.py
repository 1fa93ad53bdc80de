"""nDCG@10, fusion of two rankings, and intervals by bootstrap."""
import math
import numpy as np

DEPTH = 10
RESAMPLES, SEED = 2000, 20190000


def ndcg(ranking, grades):
    """Return nDCG@10 of ranked documents. grades: {document: gain}, with linear gains."""
    best = sorted(grades.values(), reverse=True)[:DEPTH]
    ideal = sum(gain / math.log2(i + 2) for i, gain in enumerate(best))
    found = sum(grades.get(document, 0) / math.log2(i + 2) for i, document in enumerate(ranking[:DEPTH]))
    return found / ideal if ideal else 0.


def by_score(scores):
    """Return the documents of {document: score}, best first; ties by document."""
    return sorted(scores, key=lambda document: (-scores[document], document))


def reciprocal_ranks(rankings, k):
    """Reciprocal rank fusion (Cormack, Clarke and Buettcher 2009)."""
    sums = {}
    for ranking in rankings:
        for rank, document in enumerate(ranking, 1):
            sums[document] = sums.get(document, 0.) + 1 / (k + rank)
    return by_score(sums)


def weighted(scores, candidates, weight):
    """Rank candidates by a weighted sum of {document: (MaxSim per query token, BM25F over its bound)}."""
    return by_score({document: weight * scores[document][0] + (1 - weight) * scores[document][1] for document in candidates})


def min_max(values):
    """Scale values to 0 .. 1."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else values * 0


def standard(values):
    """Scale values to a mean of 0 and a deviation of 1 (z-scores)."""
    deviation = values.std()
    return (values - values.mean()) / deviation if deviation > 0 else values * 0


def rescaled(scores, candidates, scale):
    """Return the scores of candidates, each of the two scaled over them."""
    documents = sorted(candidates)
    columns = [scale(np.array([scores[document][i] for document in documents])) for i in range(2)]
    return {document: pair for document, *pair in zip(documents, *columns)}


def interval(values):
    """Return the 95% interval of a mean, by bootstrap."""
    values = np.asarray(values)
    samples = np.random.RandomState(SEED).randint(len(values), size=(RESAMPLES, len(values)))
    return tuple(np.quantile(values[samples].mean(axis=1), (.025, .975)))


def between(low, high):
    return f'{low:+.3f} to {high:+.3f}'
