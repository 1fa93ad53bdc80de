"""The tables that bench/trade-off prints."""
import medquad_db as db
from trade_off.medquad_part import KINDS, NEAREST

MB = 2 ** 20
BEFORE_ENCODING = ('initializing', 'sampling', 'training', 'building graph')


def number(value, form):
    width = int(form.partition('.')[0].lstrip(',') or 0)
    return f'{value:{form}}' if value is not None else ' ' * width


def print_ours(rows):
    print(f"\n{'':22}{'build':>8}{'build':>8}{'bytes':>9}" + ''.join(f'   {title:^34}' for title in db.QUERY_TITLES.values()))
    print(f"{'':22}{'s':>8}{'MB':>8}{'/token':>9}" + f"   {'ms @10':>8}{'recall':>8}{'ms @100':>10}{'recall':>8}" * 2)
    for row in rows:
        line = f"{row['label']:22}" + number(row.get('build'), '8.1f') + number(row['peak'] / MB if 'peak' in row else None, '8.0f')
        line += number(row['bytes'], '9.1f')
        for kind in KINDS:
            ten, hundred = row[kind][10], row[kind][100]
            line += f"   {ten['ms']:8.3f}{ten['recall']:8.4f}{hundred['ms']:10.3f}{hundred['recall']:8.4f}"
        print(line)


def print_faiss(rows, coarse):
    print(f"\nFAISS, one thread, token-level part: the {NEAREST['short']} ({db.QUERY_TITLES['long']}: {NEAREST['long']}) nearest tokens of each query token, and the set of their documents,")
    print('which must still be fetched and scored; recall: fraction of the exact ten among them. The coarse quantizer is trained, and tokens are assigned, once for all:')
    print(f"train {coarse['train']:.1f} s on {coarse['sample']:,} tokens, assign {coarse['assign']:.1f} s.")
    print(f"{'':22}{'train':>8}{'encode':>8}{'peak':>8}{'bytes':>9}" + ''.join(f'   {title:^26}' for title in db.QUERY_TITLES.values()))
    print(f"{'':22}{'codec s':>8}{'s':>8}{'MB':>8}{'/token':>9}" + f"   {'ms':>8}{'recall':>8}{'documents':>10}" * 2)
    for row in rows:
        line = f"{row['label']:22}{row['train']:8.1f}{row['add']:8.1f}{row['peak'] / MB:8.0f}{row['bytes']:9.1f}"
        for kind in KINDS:
            line += f"   {row[kind]['ms']:8.3f}{row[kind]['recall']:8.4f}{row[kind]['documents']:10.0f}"
        print(line)


def print_phases(rows, theirs, coarse):
    """Print build times beside FAISS's: training of centroids and codebooks, and the rest."""
    faiss = {row['label']: row for row in theirs}
    print(f"\n{'seconds to build, one process':32}" + f"{'colbert_pg':>24}{'FAISS':>24}{'ratio':>16}")
    print(f"{'':32}{'read, train':>12}{'the rest':>12}{'train':>12}{'the rest':>12}{'train':>8}{'rest':>8}")
    for row in rows:
        if 'phases' not in row:
            continue
        train = sum(seconds for name, seconds in row['phases'].items() if name.startswith(BEFORE_ENCODING))
        rest = row['build'] - train
        line = f"{row['label']:32}{train:12.2f}{rest:12.2f}"
        if row['label'] in faiss:
            other = faiss[row['label']]
            times = (coarse['train'] + other['train'], coarse['assign'] + other['add'])
            line += f'{times[0]:12.2f}{times[1]:12.2f}{times[0] / train:8.1f}{times[1] / rest:8.1f}'
        print(line)


def print_exercise(part):
    rows = part.rows
    print(f"\n{len(part.tables['vectors']):,} random vectors of 64 dims, L2, the 4 nearest, {len(part.queries):,} queries one at a time")
    print('(*: with colbert.candidates as large as the probed lists, and colbert.rerank = 1024; narrowed and reranked: documents of the last query)')
    print(f"{'':26}{'nprobe':>7}{'':3}{'FAISS, one thread':^26}{'':3}{'colbert_pg, defaults':^44}{'':3}{'colbert_pg *':^36}")
    print(' ' * 33 + f"   {'build s':>8}{'ms':>9}{'recall@4':>9}" * 2 + f"{'narrowed':>9}{'reranked':>9}   {'ms':>9}{'recall@4':>9}{'narrowed':>9}{'reranked':>9}")
    for row in rows:
        line = f"{row['index']:26}{row['nprobe'] or '':>7}"
        for side in (row['faiss'], row['ours']):
            line += '   ' + (f"{number(side['build'], '8.2f')}{side['ms']:9.3f}{side['recall']:9.4f}" if side else ' ' * 26)
        if 'wide' in row:
            line += ''.join(f'{n:9,}' for n in row['ours']['scan'][:2])
            line += f"   {row['wide']['ms']:9.3f}{row['wide']['recall']:9.4f}" + ''.join(f'{n:9,}' for n in row['wide']['scan'][:2])
        print(line)
