/*-------------------------------------------------------------------------
 *
 * hnsw.cc
 *	  First step of the classical recipe with hnswlib: find the nearest tokens
 *	  of each query token by inner product.
 *
 * A shared library for the benchmark, compiled for this processor with the
 * flags of hnswlib's own setup. The second step, ranking documents by exact
 * score, is score_union() in score.c.
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

/*
 * Find the k nearest tokens of each query token. tokens: nquery x k, in no
 * particular order; -1 if there are fewer than k.
 */
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
