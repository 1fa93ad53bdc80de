/*-------------------------------------------------------------------------
 *
 * hnsw.cc
 *	  The classical recipe's first step by hnswlib: the nearest tokens of each
 *	  token of a query, by inner product. A shared library for the benchmark.
 *
 * Compiled as hnswlib's own setup does it, for the processor at hand. The
 * second step, documents by exact score, is score_union() of score.c.
 *
 *-------------------------------------------------------------------------
 */
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "hnswlib/hnswlib.h"

using Graph = hnswlib::HierarchicalNSW<float>;

static const int dims = 128;
static hnswlib::InnerProductSpace space(dims);

extern "C" {

void *
hnsw_build(const float *rows, int64_t ntokens, int m, int ef_construction, int nthreads)
{
	Graph	   *graph = new Graph(&space, ntokens, m, ef_construction);
	std::atomic<int64_t> next{0};
	std::vector<std::thread> threads;

	for (int i = 0; i < nthreads; i++)
		threads.emplace_back([&] {
			for (int64_t token = next++; token < ntokens; token = next++)
				graph->addPoint(rows + token * dims, token);
		});
	for (auto &thread : threads)
		thread.join();
	return graph;
}

void
hnsw_save(void *graph, const char *path)
{
	static_cast<Graph *>(graph)->saveIndex(path);
}

void *
hnsw_load(const char *path)
{
	return new Graph(&space, path);
}

/* tokens: nquery x k, the nearest of each query token in any order; -1 where there are fewer. */
void
hnsw_search(void *graph_, const float *query, uint32_t nquery, int k, int ef, int64_t *tokens)
{
	Graph	   *graph = static_cast<Graph *>(graph_);

	graph->setEf(ef);
	for (uint32_t i = 0; i < nquery; i++)
	{
		auto		nearest = graph->searchKnn(query + i * dims, k);

		for (int j = 0; j < k; j++, tokens++)
		{
			*tokens = nearest.empty() ? -1 : static_cast<int64_t>(nearest.top().second);
			if (!nearest.empty())
				nearest.pop();
		}
	}
}

}
