/*-------------------------------------------------------------------------
 *
 * validate.c
 *	  Validate operator classes: two ordering operators, and the operator and
 *	  functions for thresholds.
 *
 * The operator and functions for thresholds are optional. Without them, a
 * threshold is a filter above the scan.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "access/amvalidate.h"
#include "access/htup_details.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

/* Report an invalid operator family at INFO, as amvalidate does. */
#define complain(...) \
	ereport(INFO, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION), errmsg(__VA_ARGS__)))

static bool
is_operator_of_its_strategy(Form_pg_amop form)
{
	Oid  result = form->amopstrategy == STRATEGY_THRESHOLD ? BOOLOID : FLOAT8OID;
	char purpose = form->amopstrategy == STRATEGY_THRESHOLD ? AMOP_SEARCH : AMOP_ORDER;

	return form->amopstrategy >= 1 && form->amopstrategy <= STRATEGY_COUNT &&
		   form->amoppurpose == purpose &&
		   check_amop_signature(form->amopopr, result, form->amoplefttype, form->amoprighttype);
}

static bool
check_operators(const char *family, Oid type, CatCList *operators)
{
	bool   valid = true;
	uint32 seen = 0;

	for (int i = 0; i < operators->n_members; i++)
	{
		Form_pg_amop form = (Form_pg_amop) GETSTRUCT(&operators->members[i]->tuple);

		if (!is_operator_of_its_strategy(form))
		{
			complain("operator family \"%s\" contains operator %s "
					 "that does not match its strategy number",
					 family, format_operator(form->amopopr));
			valid = false;
		}
		else if (form->amoplefttype == type && form->amoprighttype == type)
			seen |= 1 << form->amopstrategy;
	}
	if (seen != ((1 << STRATEGY_NULLS_LAST) | (1 << STRATEGY_NULLS_FIRST)))
	{
		complain("operator family \"%s\" is missing an ordering operator", family);
		valid = false;
	}
	return valid;
}

static bool
is_function_of_its_number(Form_pg_amproc form)
{
	switch (form->amprocnum)
	{
		case SUPPORT_SCORE:
			return check_amproc_signature(form->amproc, FLOAT8OID, true, 2, 2, form->amproclefttype,
										  form->amprocrighttype);
		case SUPPORT_THRESHOLD:
			return check_amproc_signature(form->amproc, get_func_rettype(form->amproc), true, 3, 3,
										  form->amproclefttype, TEXTOID, FLOAT8OID);
		case SUPPORT_BOUND:
			return check_amproc_signature(form->amproc, FLOAT8OID, true, 4, 4, FLOAT8OID, TEXTOID,
										  FLOAT8OID, BOOLOID);
		default:
			return false;
	}
}

static bool
check_functions(const char *family, Oid type, CatCList *functions)
{
	bool valid = true;
	bool seen = false;

	for (int i = 0; i < functions->n_members; i++)
	{
		Form_pg_amproc form = (Form_pg_amproc) GETSTRUCT(&functions->members[i]->tuple);

		if (!is_function_of_its_number(form))
		{
			complain("operator family \"%s\" contains function %s "
					 "that does not match its support number",
					 family, format_procedure(form->amproc));
			valid = false;
		}
		else if (form->amprocnum == SUPPORT_SCORE && form->amproclefttype == type)
			seen = true;
	}
	if (!seen)
	{
		complain("operator family \"%s\" is missing support function %d", family, SUPPORT_SCORE);
		valid = false;
	}
	return valid;
}

bool
colbert_validate(Oid opclass)
{
	HeapTuple class_tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass));
	Form_pg_opclass class;
	HeapTuple family_tuple;
	CatCList *operators;
	CatCList *functions;
	char     *family;
	bool      valid;

	if (!HeapTupleIsValid(class_tuple))
		elog(ERROR, "cache lookup failed for operator class %u", opclass);
	class = (Form_pg_opclass) GETSTRUCT(class_tuple);
	family_tuple = SearchSysCache1(OPFAMILYOID, ObjectIdGetDatum(class->opcfamily));
	if (!HeapTupleIsValid(family_tuple))
		elog(ERROR, "cache lookup failed for operator family %u", class->opcfamily);
	family = NameStr(((Form_pg_opfamily) GETSTRUCT(family_tuple))->opfname);

	operators = SearchSysCacheList1(AMOPSTRATEGY, ObjectIdGetDatum(class->opcfamily));
	functions = SearchSysCacheList1(AMPROCNUM, ObjectIdGetDatum(class->opcfamily));
	valid = check_operators(family, class->opcintype, operators);
	valid = check_functions(family, class->opcintype, functions) && valid;

	ReleaseCatCacheList(functions);
	ReleaseCatCacheList(operators);
	ReleaseSysCache(family_tuple);
	ReleaseSysCache(class_tuple);
	return valid;
}
