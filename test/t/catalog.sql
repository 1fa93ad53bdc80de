-- Lists all objects of the extension, one per line and without OIDs, so that two ways of installing
-- it can be compared.
WITH members AS (
	SELECT d.classid, d.objid FROM pg_depend d
	WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'colbert_pg') AND d.deptype = 'e'
), facts AS (
	SELECT pg_describe_object(classid, objid, 0) AS what, 'comment' AS kind, coalesce(obj_description(objid, classid::regclass::name), 'none') AS fact
	FROM members
	UNION ALL
	SELECT pg_describe_object(m.classid, m.objid, 0), 'rights', coalesce(i.initprivs::text, 'as made')
	FROM members m LEFT JOIN pg_init_privs i ON i.classoid = m.classid AND i.objoid = m.objid AND i.objsubid = 0
	UNION ALL
	SELECT p.oid::regprocedure::text, 'rights now', coalesce(p.proacl::text, 'everyone')
	FROM members m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
	UNION ALL
	SELECT p.oid::regprocedure::text, 'function', pg_get_functiondef(p.oid)
	FROM members m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid WHERE p.prokind <> 'a'
	UNION ALL
	SELECT p.oid::regprocedure::text, 'aggregate', concat_ws(' ', pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), p.proparallel, a.aggkind, a.aggnumdirectargs,
		a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn, a.aggmtransfn, a.aggfinalextra, a.aggfinalmodify,
		a.aggtranstype::regtype, a.aggtransspace, a.agginitval)
	FROM members m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid JOIN pg_aggregate a ON a.aggfnoid = p.oid
	UNION ALL
	SELECT t.oid::regtype::text, 'type', concat_ws(' ', typlen, typbyval, typtype, typcategory, typispreferred, typdelim, typsubscript, typelem::regtype, typarray::regtype,
		typinput, typoutput, typreceive, typsend, typmodin, typmodout, typanalyze, typalign, typstorage, typcollation)
	FROM members m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND m.objid = t.oid
	UNION ALL
	SELECT a.attrelid::regclass || '.' || attname, 'attribute', concat_ws(' ', attnum, format_type(atttypid, atttypmod), attstorage)
	FROM members m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND m.objid = t.oid JOIN pg_attribute a ON a.attrelid = t.typrelid
	UNION ALL
	SELECT o.oid::regoperator::text, 'operator', concat_ws(' ', oprkind, oprcanmerge, oprcanhash, oprresult::regtype, oprcom::regoperator, oprnegate::regoperator,
		oprcode, oprrest, oprjoin)
	FROM members m JOIN pg_operator o ON m.classid = 'pg_operator'::regclass AND m.objid = o.oid
	UNION ALL
	SELECT pg_describe_object(m.classid, m.objid, 0), 'cast', concat_ws(' ', castfunc::regprocedure, castcontext, castmethod)
	FROM members m JOIN pg_cast c ON m.classid = 'pg_cast'::regclass AND m.objid = c.oid
	UNION ALL
	SELECT a.amname, 'access method', concat_ws(' ', amhandler, amtype)
	FROM members m JOIN pg_am a ON m.classid = 'pg_am'::regclass AND m.objid = a.oid
	UNION ALL
	SELECT pg_describe_object(m.classid, m.objid, 0), 'operator class', concat_ws(' ', pg_describe_object('pg_opfamily'::regclass, opcfamily, 0),
		opcintype::regtype, opcdefault, opckeytype::regtype)
	FROM members m JOIN pg_opclass c ON m.classid = 'pg_opclass'::regclass AND m.objid = c.oid
	UNION ALL
	SELECT pg_describe_object(m.classid, m.objid, 0), 'operator of a family', concat_ws(' ', pg_describe_object('pg_amop'::regclass, o.oid, 0), amoppurpose,
		pg_describe_object('pg_opfamily'::regclass, nullif(amopsortfamily, 0), 0))
	FROM members m JOIN pg_amop o ON m.classid = 'pg_opfamily'::regclass AND m.objid = o.amopfamily
	UNION ALL
	SELECT pg_describe_object(m.classid, m.objid, 0), 'function of a family', pg_describe_object('pg_amproc'::regclass, o.oid, 0)
	FROM members m JOIN pg_amproc o ON m.classid = 'pg_opfamily'::regclass AND m.objid = o.amprocfamily
)
SELECT what, kind, fact FROM facts ORDER BY what, kind, fact;
