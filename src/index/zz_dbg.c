#include "compat/pg_compat.h"
#include "index/postings.h"
#include "index/view.h"
#include "index/graph.h"
#include "utils/array.h"
#include "catalog/pg_type_d.h"
#include "access/genam.h"
#include "utils/builtins.h"
PG_FUNCTION_INFO_V1(dbg_node);
Datum dbg_node(PG_FUNCTION_ARGS){ Relation r=index_open(PG_GETARG_OID(0),AccessShareLock); IndexView*v=view_open(r,false,VIEW_WITHOUT_PENDING);
 uint32 n=v->meta.arrays[ARRAY_NODES].nitems; bytea*out=palloc_extended(4+(Size)n*v->dim*2,MCXT_ALLOC_HUGE); SET_VARSIZE(out,4+(Size)n*v->dim*2);
 for(uint32 i=0;i<n;i++){char*d;Buffer b=parray_read(&v->index,&v->meta,ARRAY_NEIGHBOURS,i,&d); memcpy(VARDATA(out)+(Size)i*v->dim*2,((VertexEntry*)d)->vector,v->dim*2);UnlockReleaseBuffer(b);}
 index_close(r,AccessShareLock); PG_RETURN_BYTEA_P(out);}
PG_FUNCTION_INFO_V1(dbg_posts);
Datum dbg_posts(PG_FUNCTION_ARGS){ Relation r=index_open(PG_GETARG_OID(0),AccessShareLock); IndexView*v=view_open(r,false,VIEW_WITHOUT_PENDING);
 uint32 n=v->meta.arrays[ARRAY_NODES].nitems; StringInfoData s; initStringInfo(&s);
 for(uint32 i=0;i<n;i++){PostingBuffer pb={0}; postings_read(&v->index,&v->meta,i,&pb); appendBinaryStringInfo(&s,(char*)&pb.count,4); if(pb.count)appendBinaryStringInfo(&s,(char*)pb.docs,4*pb.count);}
 index_close(r,AccessShareLock); bytea*out=palloc(4+s.len); SET_VARSIZE(out,4+s.len); memcpy(VARDATA(out),s.data,s.len); PG_RETURN_BYTEA_P(out);}
PG_FUNCTION_INFO_V1(dbg_search);
Datum dbg_search(PG_FUNCTION_ARGS){ Relation r=index_open(PG_GETARG_OID(0),AccessShareLock); IndexView*v=view_open(r,false,VIEW_WITHOUT_PENDING);
 MultiVector*mv=multivector_from_datum(PG_GETARG_DATUM(1)); int ef=PG_GETARG_INT32(2); float*q=palloc(v->dim*4*mv->ntokens); view_prepare_tokens(v,mv,0,mv->ntokens,q);
 Graph*g=graph_open(&v->index,&v->meta,&v->sketch); StringInfoData s; initStringInfo(&s); GraphHit*h=palloc(ef*sizeof(*h));
 for(uint32 t=0;t<mv->ntokens;t++){uint32 n=graph_search(g,q+t*v->dim,GRAPH_KEY_IP,ef,h,NULL); appendBinaryStringInfo(&s,(char*)&n,4); appendBinaryStringInfo(&s,(char*)h,n*8);}
 index_close(r,AccessShareLock); bytea*out=palloc(4+s.len); SET_VARSIZE(out,4+s.len); memcpy(VARDATA(out),s.data,s.len); PG_RETURN_BYTEA_P(out);}
