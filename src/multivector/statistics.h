/*-------------------------------------------------------------------------
 *
 * statistics.h
 *	  Statistics of a multivector column in pg_statistic.
 *
 * Besides the fraction of NULLs and the average width in the row, ANALYZE
 * stores one slot.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_STATISTICS_H
#define COLBERT_STATISTICS_H

/*
 * A slot with one number: the share of the documents, NULLs aside, that are
 * stored out of line. PostgreSQL leaves the kinds from 10000 to private use.
 */
#define STATISTIC_KIND_EXTERNAL_SHARE 21021

#endif /* COLBERT_STATISTICS_H */
