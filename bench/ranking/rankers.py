"""The two-stage rankers and the fitted weight: training data by colbert_pg.rank, figures by nested cross-validation.

Questions of one topic are in one fold, so no near-duplicate of a question trains the model, or chooses the settings, that it is measured by.
"""
import os
from concurrent.futures import ProcessPoolExecutor
import numpy as np
from measures import between
from colbert_pg.evaluate import score
from colbert_pg.rank import LAMBDAMART_SETTINGS, LOGISTIC_SETTINGS, WEIGHTS, train_lambdamart, train_logistic, training_data
from colbert_pg.rank.dataset import SCORES
from colbert_pg.rank.models import lambdamart, logistic
from colbert_pg.rank.training import Folds, best_settings
from colbert_pg.rank.weight import best_weight

KINDS = {'logistic regression': train_logistic, 'LambdaMART': train_lambdamart}
CURVE = {'logistic regression': (logistic, LOGISTIC_SETTINGS), 'LambdaMART': (lambdamart, LAMBDAMART_SETTINGS)}
LABELLED = (50, 100, 400, 800)
MEASURE, SEED = 'nDCG@10', 0


class Known:
    """An encoder of the questions of a collection."""

    def __init__(self, collection):
        self.docs = {text: doc for _, text, doc in collection.questions}

    def encode_query(self, texts):
        return [self.docs[text] for text in texts]


def prepare(conn, collection, column):
    """Return the training data of the rankers."""
    queries = {id: text for id, text, _ in collection.questions}
    qrels = {q: {str(d): int(gain) for d, gain in documents.items()} for q, documents in collection.judgements.items()}
    return training_data(conn, collection.pages(column), queries, qrels, Known(collection),
                         statistics=f'{collection.name}_{column}_tsv_bm25', per_side=collection.sides[column])


def fitted_weight(data, topics):
    """Return the fit of fit_weight by the scores of the candidates."""
    pairs = iter(zip(data.documents, *(data.column(name).tolist() for name in SCORES)))
    found = {query: {document: scores for document, *scores in (next(pairs) for _ in range(count))} for query, count in data.groups.items()}
    return best_weight(found, data.qrels, topics=topics)


def per_query(data, scores):
    """Return nDCG@10 of each question, in the order of the data."""
    found = score(data.run(scores), data.qrels, [MEASURE]).per_query[MEASURE]
    return [found[query] for query in data.groups]


def train(kind, data, topics):
    return KINDS[kind](data, topics=topics)


def fold_of_curve(data, topics, fold, labelled):
    """Return {label: nDCG@10 of the questions of a fold}, trained by this many of the others."""
    outside, inside = Folds(5, SEED, topics).of(data)[fold]
    names = list(outside.groups)
    some = outside.of([names[i] for i in np.random.default_rng(SEED).permutation(len(names))[:labelled]])
    weight = max(sorted(WEIGHTS, reverse=True), key=lambda weight: np.mean(per_query(some, some.fused(weight))))
    found = {'fitted weight': per_query(inside, inside.fused(weight))}
    for label, (kind, settings) in CURVE.items():
        best = best_settings(kind, some, settings, Folds(3, SEED, topics))
        found[label] = per_query(inside, kind(some, **best, seed=SEED).predict(inside.features))
    return found


def run(prepared, curve):
    """Train by all CPUs. prepared: {key: (data, topics)}.

    Return {key: WeightFit}, {(key, kind): Ranker} and, for the key `curve`, {(label, labelled): nDCG@10}.
    """
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        weights = {key: pool.submit(fitted_weight, *arguments) for key, arguments in prepared.items()}
        jobs = {(key, kind): pool.submit(train, kind, *arguments) for key, arguments in prepared.items() for kind in KINDS}
        labelled = [n for n in LABELLED if n <= .8 * len(prepared[curve][0].groups)]
        folds = {n: [pool.submit(fold_of_curve, *prepared[curve], fold, n) for fold in range(5)] for n in labelled}
        weights, rankers = ({key: job.result() for key, job in found.items()} for found in (weights, jobs))
        figures = {}
        for n, parts in folds.items():
            for found in (part.result() for part in parts):
                for label, values in found.items():
                    figures.setdefault((label, n), []).extend(values)
    return weights, rankers, {key: float(np.mean(values)) for key, values in figures.items()}


def figures(collection, prepared, weights, trained):
    """Return {(label, column): (nDCG@10, interval of its difference to MaxSim)} of a collection."""
    found = {}
    for column in collection.sides:
        key = collection.name, column
        fitted = {'weighted, fitted': weights[key], **{f'two-stage, {kind}': trained[key, kind] for kind in KINDS}}
        found.update({(label, column): (fit.fitted, (fit.gain.low, fit.gain.high)) for label, fit in fitted.items()})
        data = prepared[key][0]
        found['oracle over the union', column] = float(np.mean(per_query(data, data.labels))), None
    return found


def print_tables(collections, trained, curve):
    print('\n| two-stage ranker | candidates per side | nDCG@10 | difference to MaxSim | to the weight .8 | settings |\n|---|---|---|---|---|---|')
    sides = {(collection.name, column): side for collection in collections for column, side in collection.sides.items()}
    for (key, kind), ranker in trained.items():
        gains = ' | '.join(between(gain.low, gain.high) for gain in (ranker.gain, ranker.gain_over_default))
        print(f"| {', '.join(key)}: {kind} | {sides[key]} | {ranker.fitted:.4f} | {gains} | {', '.join(f'{n} {v}' for n, v in ranker.settings.items())} |")
    sizes = sorted({n for _, n in curve})
    print(f"\n| medquad, titled, by labelled questions | {' | '.join(map(str, sizes))} |\n|{'---|' * (1 + len(sizes))}")
    for label in dict.fromkeys(label for label, _ in curve):
        print(f"| {label} | {' | '.join(f'{curve[label, n]:.4f}' for n in sizes)} |")
