/*-------------------------------------------------------------------------
 *
 * readers.h
 *	  Readers of model files. Each raises an error if it cannot read the file.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_RANK_READERS_H
#define COLBERT_RANK_READERS_H

#include "rank/model.h"
#include "utils/jsonb.h"

/* Read the text file of LightGBM, a string. */
extern RankModel *read_lightgbm(const char *text);

/* Read the JSON file of XGBoost. */
extern RankModel *read_xgboost(const JsonbContainer *root);

/* Read a linear model: {"weights": [...], "intercept": 0, "features": ["name", ...]}. */
extern RankModel *read_linear(const JsonbContainer *root);

#endif /* COLBERT_RANK_READERS_H */
