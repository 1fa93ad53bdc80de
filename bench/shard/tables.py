"""The tables that bench/shard prints."""
import medquad_db as db
from shard.ours import KINDS
from shard.peers import at_recall

MB = 2 ** 20
TIMES = ('avg', 'p50', 'p95', 'p99')
STAGES = ('find', 'gather', 'narrow', 'rerank', 'exact')


def number(value, form):
    width = int(form.partition('.')[0].lstrip(',') or 0)
    return f'{value:{form}}' if value is not None else ' ' * width


def print_load(loaded, source):
    print(f"\n{source.documents:,} {source.shape} ({source.describe()}), {loaded['tokens']:,} tokens x 128 dims, float2: table {loaded['bytes'] / MB:,.0f} MB; "
          f"loaded in {loaded['seconds']:,.0f} s by {loaded['processes']} processes" + (' (only the last part, after an interruption)' if loaded['resumed'] else ''))


def print_builds(rows, tokens):
    print(f"\n{'':24}{'build s':>10}{'peak MB':>10}{'index MB':>10}{'bytes/token':>15}{'nodes':>12}   phases")
    for row in rows:
        if 'build' not in row:
            continue
        build = row['build']
        phases = ', '.join(f'{name} {seconds:.0f}' for name, seconds in build['phases'].items() if seconds >= .5)
        print(f"{row['label']:24}{build['seconds']:10.1f}{build['peak'] / MB:10,.0f}{build['bytes'] / MB:10,.0f}{build['bytes'] / tokens:15.1f}{build['nodes']:12,}   {phases}")
        if build['inserted']:
            print(f"{'':24}{build['inserted']:,} documents have been inserted and removed since the build (--rebuild)")


def print_latency(rows, lengths):
    rows = [row for row in rows if any('avg' in row.get(kind, {}) for kind in KINDS)]
    if not rows:
        return
    print(f"\n{'milliseconds, LIMIT 10':24}" + ''.join(f'   {lengths[kind]:^47}' for kind in KINDS))
    print(' ' * 24 + (' ' * 3 + ''.join(f'{name:>8}' for name in TIMES) + f"{'recall@10':>15}") * 2)
    for row in rows:
        line = f"{row['label']:24}"
        for kind in KINDS:
            figures = row.get(kind, {})
            line += '   ' + ''.join(number(figures.get(name), '8.2f') for name in TIMES) + number(figures.get('recall'), '15.4f')
        print(line)


def print_stages(rows):
    columns = [(row['label'], kind, row[kind]['stages']) for row in rows for kind in KINDS if 'stages' in row.get(kind, {})]
    if not columns:
        return
    print(f"\n{'means per scan':24}" + ''.join(f'{label:>24}' for label, _, _ in columns) + '\n' + ' ' * 24 + ''.join(f'{kind:>24}' for _, kind, _ in columns))
    print(f"{'':24}" + f"{'ms':>12}{'pages':>12}" * len(columns))
    for stage in STAGES:
        print(f'{stage:24}' + ''.join(f"{s[stage + '_ms']:12.3f}{s[stage + '_hit'] + s[stage + '_read']:12.1f}" for _, _, s in columns))
    print(f"{'all stages':24}" + ''.join(f"{sum(s[stage + '_ms'] for stage in STAGES):12.3f}{sum(s[f'{stage}_{what}'] for stage in STAGES for what in ('hit', 'read')):12.1f}" for _, _, s in columns))
    print(f"{'pages read from disk':24}" + ''.join(f"{sum(s[stage + '_read'] for stage in STAGES):24.1f}" for _, _, s in columns))
    for name in ('probes', 'hops', 'nodes', 'postings', 'gathered', 'narrowed', 'reranked', 'scored'):
        print(f'{name:24}' + ''.join(f'{s[name]:24,.1f}' for _, _, s in columns))


# stage, code that it scores by, counter of its documents
SCORING = (('narrow', 'sketch', 'narrowed'), ('rerank', 'sq8', 'reranked'))
KERNEL_SHAPES = {4.9: '4x65', 13: '16x65', 16: '16x65'}     # by the tokens of a query


def print_kernels(rows, alone):
    """Print the stages that run kernels, beside the kernels alone on documents outside the cache."""
    measured = [(row, kind) for row in rows for kind in KINDS if 'stages' in row.get(kind, {}) and db.QUERY_TOKENS[kind] in KERNEL_SHAPES]
    if not measured:
        return
    print(f"\n{'microseconds per document':32}" + ''.join(f'{stage:>12}{"kernel alone":>16}{"share":>8}' for stage, _, _ in SCORING))
    for row, kind in measured:
        line = f"{row['label'] + ', ' + kind:32}"
        for stage, code, count in SCORING:
            took = 1000 * row[kind]['stages'][stage + '_ms'] / max(row[kind]['stages'][count], 1)
            kernel = next(time for name, time in alone.items() if name.split() == [KERNEL_SHAPES[db.QUERY_TOKENS[kind]], code])
            line += f'{took:12.2f}{kernel:16.2f}{kernel / max(took, .001):8.2f}'
        print(line)
    print('kernel alone: bench/kernels, random documents of 1 GB, 65 tokens, 16 query tokens or 4; a stage also reads the directory and pins pages')


def print_rates(rows, kernels):
    measured = [row for row in rows if any('rates' in row.get(kind, {}) for kind in KINDS)]
    if not measured:
        return
    print(f"\n{'queries per second':24}" + ''.join(f"   {kind + ': 1 client':>16}{'2':>9}{'scaling':>9}" for kind in KINDS))
    for row in measured:
        print(f"{row['label']:24}" + ''.join(f"   {one:16,.0f}{two:9,.0f}{two / one:9.2f}" for one, two in (row[kind]['rates'] for kind in KINDS)))
    print(f'two concurrent bench/kernels, documents outside the cache: {kernels[0]:.2f} times one')
    print_kernels(rows, kernels[1])


def print_inserts(rows, without_index):
    """Print the inserts per second into each index, and into the table without one."""
    measured = [row for row in rows if 'insert' in row]
    if not measured:
        return
    print(f"\n{'inserts, one backend':24}{'documents':>12}{'per s':>10}" + ''.join(f"   {kind + ': per s':>18}{'search at rest':>20}{'during':>18}{'avg ratio':>10}" for kind in KINDS))
    print(' ' * 46 + f"   {'while searching':>18}{'avg':>12}{'p99':>8}{'avg':>10}{'p99':>8}{'':10}" * 2)
    for row in measured:
        insert = row['insert']
        line = f"{row['label']:24}{insert['documents']:12,}{insert['rate']:10,.0f}"
        for kind in KINDS:
            figures = insert[kind]
            rest, then = figures['resting'], figures['meanwhile']
            line += f"   {figures['rate']:18,.0f}{rest['avg']:12.2f}{rest['p99']:8.2f}{then['avg']:10.2f}{then['p99']:8.2f}{then['avg'] / rest['avg']:10.2f}"
        print(line)
    print(f"{'without an index':36}{without_index:10,.0f}")


def print_ours(ours, source, lengths, kernels):
    rows = list(ours.rows.values())
    print_load(ours.loaded, source)
    print_builds(rows, ours.loaded['tokens'])
    print_latency(rows, lengths)
    print_stages(rows)
    print_rates(rows, kernels)
    print_inserts(rows, ours.plain_inserts)


def print_peers(rows, ours, lengths):
    """Print each peer with the cheapest setting that reaches the recall of each of our methods."""
    if not rows:
        return
    print('\nrecipes in memory: the K nearest tokens of each query token; the documents of all these are scored by our float kernel; one thread. The cheapest')
    print("setting that reaches colbert_pg's recall ('<': none does, this is the best); times: average time relative to colbert_pg")
    print(f"{'':24}{'build s':>10}{'bytes':>8}  {'at the recall of':20}" + ''.join(f"  {lengths[kind]:22}{'avg':>7}{'p99':>8}{'recall@10':>10}{'times':>8}" for kind in KINDS))
    for row in rows:
        for method in (row for row in ours if row['label'].startswith('colbert')):
            kinds = [(method[kind], at_recall(row[kind], method[kind]['recall'])) for kind in KINDS if 'avg' in method.get(kind, {})]
            line = f"{row['label']:24}{number(row['build'], '10.0f') if row['build'] else 'kept':>10}{row['bytes']:8.0f}  {method['label']:20}"
            for figures, point in kinds:
                below = '<' if point['recall'] < figures['recall'] - 1e-9 else ' '
                line += f"  {point['setting']:22}{point['avg']:7.2f}{point['p99']:8.2f}{below:>3}{point['recall']:7.4f}{point['avg'] / figures['avg']:8.2f}"
            print(line)
