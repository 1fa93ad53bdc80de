"""Plot recall against latency, as PNG and SVG: one curve per codec, with a sweep of probes."""
import os
import matplotlib
matplotlib.use('Agg')
matplotlib.rcParams['svg.hashsalt'] = 'trade-off'
from matplotlib import pyplot
from matplotlib.ticker import FuncFormatter
import medquad_db as db

COLOURS = {'flat': '#000000', 'sq8': '#1f6fb4', 'sq4': '#2a9d5c', 'pq 64': '#f2a900', 'pq 32': '#e06c1f', 'pq 16': '#b5322a', 'bit': '#8a52b5',
           'hnsw': '#7f7f7f'}
MIN_RANGE = .2


def draw_panel(axes, kind, curves, dotted, unit):
    for label, points, default in curves:
        colour = COLOURS[label]
        axes.plot([p['ms'] for p in points], [p['recall'] for p in points], '-o', color=colour, markersize=3, linewidth=1.3, label=label)
        axes.plot(default['ms'], default['recall'], 'D', color=colour, markersize=7, markeredgecolor='white', zorder=5)
    for label, points in dotted:
        axes.plot([p['ms'] for p in points], [p['recall'] for p in points], ':', color=COLOURS[label], linewidth=1.4, label=f'FAISS {label} *')
    axes.set_xscale('log')
    axes.set_title(db.QUERY_TITLES.get(kind, kind), fontsize=10)
    axes.set_xlabel(unit)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f'{x:g}'))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda x, _: f'{x:g}' if f'{x:g}'.lstrip('0.')[:1] in '25' else ''))
    axes.tick_params(which='both', labelsize=8)
    axes.grid(True, which='both', color='#e4e4e4', linewidth=.6)


def draw(folder, panels, unit, caption):
    """Draw the picture. panels: {kind: (ours, FAISS's)} = {kind: ([(label, points, point at the defaults)], [(label, points)])}; a point is {ms, recall}."""
    figure, all_axes = pyplot.subplots(1, len(panels), figsize=(10, 4.6), sharey=True, squeeze=False)
    for axes, (kind, (curves, dotted)) in zip(all_axes[0], panels.items()):
        draw_panel(axes, kind, curves, dotted, unit)
    lowest = min(p['recall'] for curves, _ in panels.values() for _, points, _ in curves for p in points)
    all_axes[0][0].set_ylim(min(lowest - .02, 1 - MIN_RANGE), 1.005)
    all_axes[0][0].set_ylabel('recall@10')
    all_axes[0][-1].legend(fontsize=8, loc='lower right', framealpha=.95)
    figure.text(.01, .01, caption, fontsize=7.5, color='#555555', va='bottom')
    figure.tight_layout(rect=(0, .06, 1, 1))
    os.makedirs(folder, exist_ok=True)
    paths = [os.path.join(folder, 'trade-off.' + form) for form in ('png', 'svg')]
    figure.savefig(paths[0], dpi=110)
    figure.savefig(paths[1], metadata={'Date': None})
    pyplot.close(figure)
    return paths
