-- Learned rankers: what rank_model reads and refuses, and rank_score. test/ranking compares scores with LightGBM and XGBoost.
SET extra_float_digits = 1;

-- A linear model.
SELECT rank_score('{"weights": [0.5, 2], "intercept": 1}', '{1,2}');
SELECT rank_model_info('{"weights": [0.5, 2], "features": ["a"]}'), rank_model_features('{"weights": [0.5, 2], "features": ["a"]}');
SELECT rank_score('{"weights": [0.5, 2], "features": ["a", "b"]}', '{10,20,30}', '{b,other,a}');
SELECT rank_score('{"weights": [0.5, 2], "features": ["a", "b"]}', '{10,20}', '{b,other}');
SELECT rank_score('{"weights": [0.5, 2], "features": ["a", "b"]}', '{10}', '{b,a}');
-- Each feature has a name. A NULL counts as one, and a name of NULL is no feature of the model.
SELECT rank_score('{"weights": [1], "features": ["a"]}', '{5}', '{a,b,c}');
SELECT rank_score('{"weights": [1], "features": ["a"]}', '{5,6}', '{a}');
SELECT rank_score('{"weights": [1], "features": ["a"]}', '{}', '{}');
SELECT rank_score('{"weights": [1], "features": ["a"]}', '{5}', '{}');
SELECT rank_score('{"weights": [1], "features": ["a"]}', '{NULL,6,NULL}', '{b,a,NULL}');
SELECT rank_score('{"weights": [1], "features": ["a"]}', '{5,NULL}', '{NULL,a}');
SELECT rank_score('{"weights": [1], "features": ["a"]}', '{5,6}', '{{b,a}}');
SELECT f, n, rank_score('{"weights": [1], "features": ["a"]}', f, n) FROM (VALUES ('{5,6}'::real[], '{b,a}'::text[]), ('{5}', '{a}'), ('{5,6,7}', '{b,c,a}')) AS v (f, n);
SELECT rank_score('{"weights": [0.5, 2], "features": ["a", "b"]}', '{1,NULL}');
SELECT rank_score('{"weights": [0.5, 2], "features": ["a", "b"]}', '{NaN,1}');
SELECT rank_score('{"weights": [0.5, 2]}', '{1}');
SELECT rank_score('{"weights": [0.5, 2]}', '{{1,2}}');
SELECT rank_score('{"weights": [0.5, 2]}', '[0:1]={1,2}'), rank_score('{"weights": [0.5, 2]}', NULL) IS NULL AS strict;
SELECT '{"weights": []}'::rank_model;
SELECT '{"weights": [1, "2"]}'::rank_model;
SELECT '{"weights": [1], "intercpt": 3}'::rank_model;
SELECT '{"weights": [1], "features": ["a", "b"]}'::rank_model;
SELECT '{"weights": [1e400]}'::rank_model;
SELECT '{"weights": {}}'::rank_model;

-- A model of LightGBM, cut down: tree 0 has a numeric split, a set and three types of missing values; tree 1 is one leaf.
CREATE TABLE models (name text PRIMARY KEY, model rank_model);
CREATE FUNCTION lightgbm(header text DEFAULT '', tree text DEFAULT '', ending text DEFAULT E'end of trees\n') RETURNS text LANGUAGE sql AS $$
	SELECT E'tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=3\n' || header || E'feature_names=width height kind age\n\n'
		|| E'Tree=0\nnum_leaves=5\nnum_cat=1\nsplit_feature=0 2 1 3\nthreshold=1.5 0 0.25 10\ndecision_type=8 9 6 0\nleft_child=1 -1 -3 -4\nright_child=2 -2 3 -5\n'
		|| E'leaf_value=1 2 4 8 16\ncat_boundaries=0 2\ncat_threshold=10 1\n' || tree || E'\n\nTree=1\nnum_leaves=1\nleaf_value=100\n\n' || ending
$$;
INSERT INTO models VALUES ('lightgbm', lightgbm()::rank_model);
SELECT rank_model_info(model), rank_model_features(model) FROM models;
-- left of 1.5, and the categories 1, 3 and 32 against others
SELECT f, rank_score(model, f) FROM models, (VALUES ('{1.5,0,1,0}'::real[]), ('{1.5,0,3,0}'), ('{1.5,0,32,0}'), ('{1.5,0,2,0}'), ('{1.5,0,33,0}'), ('{1.5,0,-1,0}'),
	('{1.5,0,1e30,0}'), ('{1.5,0,NULL,0}'), ('{1.5,0,3.9,0}')) AS v (f);
-- right of 1.5; 0 and NULL of feature 1 are missing and go left; NULL of feature 0 goes right
SELECT f, rank_score(model, f) FROM models, (VALUES ('{2,0.25,0,0}'::real[]), ('{2,0.5,0,10}'), ('{2,0.5,0,10.5}'), ('{2,0,0,0}'), ('{2,-1e-36,0,0}'), ('{2,NULL,0,0}'),
	('{NULL,0.5,0,0}'), ('{Infinity,0.5,0,0}')) AS v (f);
-- feature 3 was never missing
SELECT rank_score(model, '{2,0.5,0,NULL}') FROM models;
-- The text form reads back, and a copy of a table.
SELECT model::text::rank_model::text = model::text AS same, rank_score(model::text::rank_model, '{2,0.5,0,10}') FROM models;
-- Models that are refused.
SELECT lightgbm(E'num_class=3\n')::rank_model;
SELECT lightgbm(E'num_tree_per_iteration=2\n')::rank_model;
SELECT lightgbm(E'version=v9\n')::rank_model;
SELECT lightgbm(E'max_feature_idx=70000\n')::rank_model;
SELECT lightgbm(E'max_feature_idx=4\n')::rank_model;
SELECT lightgbm(tree => E'is_linear=1\n')::rank_model;
SELECT lightgbm(tree => E'num_leaves=6\n')::rank_model;
SELECT lightgbm(tree => E'num_leaves=2000000000\n')::rank_model;
SELECT lightgbm(tree => E'left_child=1 -1 0 -4\n')::rank_model;
SELECT lightgbm(tree => E'left_child=1 -1 -1 -4\n')::rank_model;
SELECT lightgbm(tree => E'left_child=1 -1 -3 -9\n')::rank_model;
SELECT lightgbm(tree => E'left_child=1 -1 -3 4\n')::rank_model;
SELECT lightgbm(tree => E'left_child=1 -1 -3\n')::rank_model;
SELECT lightgbm(tree => E'left_child=1 -1 -3 -4 -5\n')::rank_model;
SELECT lightgbm(tree => E'left_child=1 -1 -3 x\n')::rank_model;
SELECT lightgbm(tree => E'left_child=1 -1 -3 1.5\n')::rank_model;
SELECT lightgbm(tree => E'threshold=nan 0 0.25 10\n')::rank_model;
SELECT lightgbm(tree => E'threshold=1.5 1 0.25 10\n')::rank_model;
SELECT lightgbm(tree => E'num_cat=0\n')::rank_model;
SELECT lightgbm(tree => E'cat_boundaries=0 900000000\n')::rank_model;
SELECT lightgbm(tree => E'cat_boundaries=2 0\n')::rank_model;
SELECT lightgbm(tree => E'split_feature=0 2 1 4\n')::rank_model;
SELECT lightgbm(tree => E'decision_type=8 9 6 12\n')::rank_model;
SELECT lightgbm(tree => E'leaf_value=1 2 4 8 inf\n')::rank_model;
SELECT lightgbm(ending => '')::rank_model;

-- XGBoost: a value goes left if it is less than the condition. The sum is one of floats.
CREATE FUNCTION xgboost(tree jsonb DEFAULT '{}', learner jsonb DEFAULT '{}', parameters jsonb DEFAULT '{}', booster text DEFAULT 'gbtree') RETURNS text LANGUAGE sql AS $$
	SELECT jsonb_build_object('learner', jsonb_build_object('feature_names', '["width", "height"]'::jsonb, 'objective', '{"name": "rank:ndcg"}'::jsonb,
		'learner_model_param', '{"base_score": "[5E-1]", "num_feature": "2", "num_class": "0"}'::jsonb || parameters,
		'gradient_booster', jsonb_build_object('name', booster, 'model', jsonb_build_object('trees', jsonb_build_array(
			'{"tree_param": {"size_leaf_vector": "1"}, "left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [1, 0, 0],
			"split_conditions": [0.1, 0.3, 7], "default_left": [1, 0, 0], "split_type": [0, 0, 0]}'::jsonb || tree)))) || learner)::text
$$;
INSERT INTO models VALUES ('xgboost', xgboost()::rank_model);
SELECT rank_model_info(model), rank_model_features(model) FROM models WHERE name = 'xgboost';
SELECT f, rank_score(model, f) FROM models, (VALUES ('{0,0.1}'::real[]), ('{0,0.099999994}'), ('{0,NULL}'), ('{NULL,1}')) AS v (f) WHERE name = 'xgboost';
SELECT rank_score(xgboost(learner => '{"objective": {"name": "binary:logistic"}}')::rank_model, '{0,1}');
SELECT xgboost(booster => 'dart')::rank_model;
SELECT xgboost(learner => '{"objective": {"name": "multi:softmax"}}')::rank_model;
SELECT xgboost(parameters => '{"num_class": "3"}')::rank_model;
SELECT xgboost(parameters => '{"num_feature": "0"}')::rank_model;
SELECT xgboost(parameters => '{"num_feature": "1"}')::rank_model;
SELECT xgboost(parameters => '{"base_score": "[1,2]"}')::rank_model;
SELECT xgboost('{"split_type": [1, 0, 0]}')::rank_model;
SELECT xgboost('{"left_children": [0, -1, -1]}')::rank_model;
SELECT xgboost('{"left_children": [3, -1, -1]}')::rank_model;
SELECT xgboost('{"left_children": [2, -1, -1]}')::rank_model;
SELECT xgboost('{"left_children": []}')::rank_model;
SELECT xgboost('{"right_children": [2, -1]}')::rank_model;
SELECT xgboost('{"split_indices": [2, 0, 0]}')::rank_model;
SELECT xgboost('{"split_conditions": [1e39, 0, 0]}')::rank_model;
SELECT xgboost('{"default_left": "left"}')::rank_model;
SELECT xgboost('{"tree_param": {"size_leaf_vector": "3"}}')::rank_model;
SELECT replace(xgboost(), '"learner"', '"learners"')::rank_model;

-- Other texts.
SELECT ''::rank_model;
SELECT 'linear'::rank_model;
SELECT '{'::rank_model;
SELECT '\x'::rank_model;
SELECT '\x00000000'::rank_model;
SELECT replace(model::text, '7769647468', '77006474ff')::rank_model FROM models WHERE name = 'xgboost';
-- a child that is the node itself
SELECT overlay(model::text PLACING '00000000' FROM 2 + 2 * (36 + 16) + 1 FOR 8)::rank_model FROM models WHERE name = 'xgboost';

-- One statement scores with several models, which change from row to row, out of line and in line.
INSERT INTO models SELECT 'large', ('{"weights": [' || string_agg('0.5' || i * 7919 % 9973, ',') || ']}')::rank_model FROM generate_series(1, 2000) i;
SELECT pg_column_size(model) > 2000 AS is_large FROM models WHERE name = 'large';
SELECT count(*), count(DISTINCT score) FROM (SELECT name, rank_score(model, CASE name WHEN 'large' THEN array_fill(1::real, '{2000}') WHEN 'xgboost' THEN '{0,1}' ELSE '{2,0.5,0,10}' END)
	FROM models, generate_series(1, 3) ORDER BY random()) AS s (name, score);

-- PL/pgSQL evaluates an expression again and again, with other values of its variables.
CREATE FUNCTION scores_of(models rank_model[], features real[], names text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	model rank_model;
BEGIN
	FOREACH model IN ARRAY models LOOP
		RETURN NEXT format('%s %s', rank_score(model, features), rank_score(model, features, names));
	END LOOP;
END $$;
SELECT scores_of(ARRAY['{"weights": [1, 0]}', '{"weights": [0, 1]}']::rank_model[], '{10,20}', '{f1,f0}');
CREATE FUNCTION scores_for(doc multivector, queries multivector[]) RETURNS float8[] LANGUAGE plpgsql AS 'BEGIN RETURN multivector_scores(doc, queries, 0); END';
SELECT scores_for('[[1,0]]', '{"[[1,0]]"}'), scores_for('[[1,0]]', '{"[[3,1]]","[[0,1]]"}');
DROP FUNCTION scores_of, scores_for;

-- Features of MaxSim.
SELECT maxsim_features('[[1,0],[0,1]]', '[[1,0],[.3,.1],[0,.7]]'), maxsim_features('[[1,0],[0,1]]', '[[1,0],[.3,.1],[0,.7]]', bound => .8);
SELECT maxsim_features('[[-1,0]]', '[[1,0],[3,1]]');
SELECT maxsim_features('[[1,0]]', '[[1,0,0]]');
SELECT (maxsim_features(d, q))[1] = maxsim(d, q)::real AS is_score, (maxsim_features(d, q))[2] = (SELECT avg(similarity)::real FROM maxsim_tokens(d, q)) AS is_mean,
	(maxsim_features(d, q))[5] = (SELECT stddev_pop(similarity)::real FROM maxsim_tokens(d, q)) AS is_spread,
	(maxsim_features(d, q))[6] = (SELECT percentile_cont(.5) WITHIN GROUP (ORDER BY similarity)::real FROM maxsim_tokens(d, q)) AS is_median
FROM (VALUES ('[[1,0,.5],[0,1,.25],[-1,2,-3]]'::multivector, '[[1,0,.25],[.5,.125,.5],[0,.75,-1],[-1,-1,-1]]'::multivector)) AS v (d, q);
-- a model calls features by their names
SELECT rank_score('{"weights": [1, 10], "features": ["mean", "width"]}', maxsim_features('[[1,0]]', '[[1,0],[0,1]]') || '{7}'::real[],
	'{score,mean,minimum,maximum,spread,median,below,doc_tokens,query_tokens,width}');
DROP TABLE models;
DROP FUNCTION lightgbm, xgboost;
