"""Plot recall against latency: colbert_pg with default settings, and the recipes with all their settings. One panel per kind of query."""
import os
import matplotlib
matplotlib.use('Agg')
from matplotlib import pyplot
from matplotlib.ticker import FuncFormatter

COLOURS = ('#1f6fb4', '#2a9d5c', '#b5322a', '#8a52b5', '#f2a900', '#7f7f7f')
MIN_RECALL = .7


def frontier(points):
    """Return the points that no other point beats in both latency and recall."""
    best, kept = 0, []
    for point in sorted(points, key=lambda point: point['avg']):
        if point['recall'] > best:
            best = point['recall']
            kept.append(point)
    return [point for point in kept if point['recall'] >= MIN_RECALL]


def panel(axes, kind, title, ours, peers):
    colours = iter(COLOURS)
    for row in ours:
        if 'avg' in row.get(kind, {}) and row['label'] != 'sequential scan':
            figures, colour = row[kind], next(colours)
            axes.errorbar(figures['avg'], figures['recall'], xerr=[[figures['avg'] - figures['p50']] if figures['avg'] > figures['p50'] else [0], [figures['p99'] - figures['avg']]],
                          fmt='D', color=colour, capsize=3, markersize=7, label=f"{row['label']} (to p99)")
    for row in peers:
        points = frontier(row[kind])
        axes.plot([p['avg'] for p in points], [p['recall'] for p in points], '-o', color=next(colours), markersize=3, linewidth=1.3, label=row['label'])
    axes.set_xscale('log')
    axes.set_title(title, fontsize=10)
    axes.set_xlabel('milliseconds per query, average')
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f'{x:g}'))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda x, _: f'{x:g}' if f'{x:g}'.lstrip('0.')[:1] in '25' else ''))
    axes.tick_params(which='both', labelsize=8)
    axes.grid(True, which='both', color='#e4e4e4', linewidth=.6)


def draw(folder, lengths, ours, peers, caption):
    """Draw the picture and return its path."""
    figure, all_axes = pyplot.subplots(1, len(lengths), figsize=(10, 4.6), sharey=True, squeeze=False)
    for axes, (kind, title) in zip(all_axes[0], lengths.items()):
        panel(axes, kind, title, ours, peers)
    all_axes[0][0].set_ylabel('recall@10')
    all_axes[0][-1].legend(fontsize=8, loc='lower right', framealpha=.95)
    figure.text(.01, .01, caption, fontsize=7.5, color='#555555', va='bottom', wrap=True)
    figure.tight_layout(rect=(0, .05, 1, 1))
    path = os.path.join(folder, 'shard.png')
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path
