"""The tables of quality: nDCG@10 of each way to rank a collection."""
import statistics
import measures, texts
from measures import between

A_WEIGHTS = (1, 3, 5)
RRF_K = 60
MAXSIM = 'MaxSim, exact'
SCORES = """SELECT id, maxsim(p.doc, %(doc)s::multivector) / num_tokens(%(doc)s::multivector), bm25f(t.tsv, q) / bm25_bound(q)
    FROM bm25_query(%(statistics)s, %(text)s) AS q, {docs} p JOIN {table} t USING (id) WHERE id = ANY (%(ids)s)"""


def fusions(conn, collection, column, question, maxsim, words):
    """Return {label: ranking} of the ways to fuse the exact MaxSim ranking with the full-text ranking of a column."""
    side, table = collection.sides[column], f'{collection.name}_{column}'
    _, text, doc = question
    best_maxsim, best_words = set(maxsim[:side]), set(words[:side])
    union = best_maxsim | best_words
    rows = conn.execute(SCORES.format(docs=collection.table, table=table),
                        {'doc': doc.to_text(), 'statistics': table + '_tsv_bm25', 'text': text, 'ids': list(union)}).fetchall()
    scores = {id: (m, t) for id, m, t in rows}
    found = {f'RRF, k = {RRF_K}, 100 a side': measures.reciprocal_ranks((maxsim, words), RRF_K)}
    found.update({f'weighted, .{weight}': measures.weighted(scores, union, weight / 10) for weight in (5, 8)})
    one_sided = {id: (m * (id in best_maxsim), t * (id in best_words)) for id, (m, t) in scores.items()}
    found['weighted, .8, without the scores of the other side'] = measures.weighted(one_sided, union, .8)
    for label, scale in (('after min-max', measures.min_max), ('of z-scores', measures.standard)):
        found[f'weighted, .8, {label}'] = measures.weighted(measures.rescaled(scores, union, scale), union, .8)
    found['MaxSim over the best of full text'] = measures.weighted(scores, words[:side], 1)
    found['full text over the best of MaxSim'] = measures.weighted(scores, maxsim[:side], 0)
    return found


def rankings(conn, collection, question):
    """Return {(label, column): ranking}."""
    id, text, _ = question
    maxsim = collection.exact[id]
    top = lambda table, a=1: measures.by_score(texts.top(conn, f'{collection.name}_{table}', text, a))
    found, body = {}, top('body')
    for column in collection.sides:
        found[MAXSIM, column], found['BM25 of the body', column] = maxsim, body
        if column == 'titled':
            found['BM25 of title and body as one', column] = top('joined')
            found.update({(f'BM25F, A = {a}', column): top(column, a) for a in A_WEIGHTS})
        best = found['BM25 of the body' if column == 'body' else f'BM25F, A = {max(A_WEIGHTS)}', column]
        found.update({(label, column): ranking for label, ranking in fusions(conn, collection, column, question, maxsim, best).items()})
    return found


def of_questions(conn, collection, step):
    """Return {(label, column): [nDCG@10 of a question, ...]}."""
    figures = {}
    for i, question in enumerate(collection.questions, 1):
        for key, ranking in rankings(conn, collection, question).items():
            figures.setdefault(key, []).append(measures.ndcg(ranking, collection.judgements[question[0]]))
        step.detail = f'{i} of {len(collection.questions)}'
    return figures


def cells(values, base):
    """Return the mean, and the interval of the difference to the base."""
    if values is base:
        return [f'{statistics.mean(values):.4f}', '']
    return [f'{statistics.mean(values):.4f}', between(*measures.interval([x - y for x, y in zip(values, base)]))]


def print_table(collection, figures, found):
    """Print the table of a collection. found: {(label, column): (nDCG@10, interval of its difference to MaxSim)} of fitted rankings."""
    heads = {'titled': 'titles as section A', 'body': 'body only'}
    print(f'\n| {collection.name}, {len(collection.questions)} questions: nDCG@10 | ' + ' | '.join(f'{heads[c]} | difference to MaxSim' for c in collection.sides) +
          ' |\n|' + '---|' * (1 + 2 * len(collection.sides)))
    for label in dict.fromkeys(label for label, _ in [*figures, *found]):
        row = []
        for column in collection.sides:
            if (label, column) in found:
                mean, interval = found[label, column]
                row += [f'{mean:.4f}', between(*interval) if interval else '']
            else:
                values = figures.get((label, column))
                row += cells(values, figures[MAXSIM, column]) if values else ['', '']
        print(f"| {label} | {' | '.join(row)} |")
