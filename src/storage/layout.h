/*-------------------------------------------------------------------------
 *
 * layout.h
 *	  Every struct that stands on a page of an index, with its size checked.
 *
 * Block 0 is the meta page. Every other block belongs to the extent of one
 * page array, is a map page of one, or is a posting page. A page names its
 * kind in its special area. An all-zero page within an extent is an array
 * page that nothing was written to; elsewhere, it has no owner until VACUUM
 * makes it a posting page.
 *
 * Page arrays: items of one fixed size, addressed by a 32-bit ordinal, never
 * straddling pages. Their pd_lower and pd_upper both stand at the special
 * area, so that generic WAL sees no hole in them; where one item fills the
 * page (versions and hashes), pd_lower stands where its use ends.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_LAYOUT_H
#define COLBERT_LAYOUT_H

#include "compat/pg_compat.h"

#include "storage/block.h"
#include "storage/bufpage.h"
#include "storage/itemptr.h"
#include "storage/off.h"

#define COLBERT_MAGIC   0x4C4F4342 /* "BCOL" */
#define COLBERT_VERSION 3

#define META_BLOCK 0

#define INVALID_ORDINAL ((uint32) 0xFFFFFFFF)

/* Items of a page array at the most: some way from where ordinals wrap, so that no walk by pages comes there. */
#ifndef COLBERT_MAX_ITEMS
#define COLBERT_MAX_ITEMS ((uint32) 0xFFFF0000)
#endif

typedef enum PageKind
{
	PAGE_META = 1,
	PAGE_ARRAY = 2,
	PAGE_POSTINGS = 3,
	PAGE_MAP = 4
} PageKind;

typedef struct PageTrailer
{
	uint16 kind;  /* a PageKind */
	uint16 array; /* an ArrayKind, on array and map pages */
	uint32 magic;
} PageTrailer;

StaticAssertDecl(sizeof(PageTrailer) == 8, "on-disk size of PageTrailer");

/* Bytes that the items of one array page share. */
#define PAGE_PAYLOAD (BLCKSZ - MAXALIGN(SizeOfPageHeaderData) - MAXALIGN(sizeof(PageTrailer)))

/* The page arrays of an index. On-disk numbers. */
typedef enum ArrayKind
{
	ARRAY_DOCS = 0,         /* DocEntry */
	ARRAY_SKETCHES = 1,     /* sketch blocks of 16 tokens */
	ARRAY_ROWS = 2,         /* code rows of the codec */
	ARRAY_PENDING_ROWS = 3, /* sq8 rows of pending documents, where the codec is coarse */
	ARRAY_QUEUE = 4,        /* uint32 ordinals of pending documents */
	ARRAY_NULLS = 5,        /* NullPage */
	ARRAY_VERSIONS = 6,     /* VersionPage: page n is of the documents on page n of ARRAY_DOCS */
	ARRAY_HASHES = 7,       /* HashBucket */
	ARRAY_PARAMS =
		8, /* float4: the mean of the tokens, dim of them, then the codec's codebooks where it has any */
	ARRAY_NODES = 9,        /* NodeEntry */
	ARRAY_NEIGHBOURS = 10,  /* vertex: a node on the lowest level of the graph */
	ARRAY_UPPER = 11,       /* UpperEntry and vertex: a node on a level above */
	ARRAY_PARENTS = 12,     /* sq8 rows: the upper level of centroids */
	ARRAY_CHILDREN = 13,    /* ListSpan: of each parent */
	ARRAY_CENTROIDS = 14,   /* sq8 rows: node n is centroid n */
	ARRAY_CHILD_EDGES = 15, /* EdgeBlock: from a parent to 16 of its children */
	ARRAY_COUNT = 16
} ArrayKind;

/* Arrays that writers of documents take items of, under the meta lock; and the others, which the writer of the nodes takes items of. */
#define DOCUMENT_ARRAYS 9
#define NODE_ARRAYS     7

StaticAssertDecl(ARRAY_NODES == DOCUMENT_ARRAYS && ARRAY_COUNT == DOCUMENT_ARRAYS + NODE_ARRAYS,
				 "each array has one kind of writer");

/* Maximum pages of one step of growth: 64 MB. */
#ifndef COLBERT_EXTENT_PAGES
#define COLBERT_EXTENT_PAGES ((uint32) (64 * 1024 * 1024 / BLCKSZ))
#endif

/* Extents of one array that the meta page lists, and how many of these move to a map page together. */
#define MAX_EXTENTS   48
#define MOVED_EXTENTS 24

/*
 * Pages of an array on consecutive blocks: its logical pages from first_page
 * up to the next extent's first page, or to the end of the array.
 */
typedef struct Extent
{
	uint32      first_page;
	BlockNumber start;
} Extent;

StaticAssertDecl(sizeof(Extent) == 8, "on-disk size of Extent");

/* Where the pages of an array stand: its newest extents; the older ones are on map pages, where they never change. */
typedef struct ArrayPages
{
	uint32      npages;   /* pages of all extents */
	uint32      nolder;   /* extents on map pages */
	BlockNumber map;      /* the newest map page, if nolder > 0 */
	uint32      nextents; /* extents below */
	Extent      extents[MAX_EXTENTS];
} ArrayPages;

StaticAssertDecl(sizeof(ArrayPages) == 16 + 8 * MAX_EXTENTS, "on-disk size of ArrayPages");

/*
 * A map page holds older extents of one array, in order. Every map page but
 * the newest is full. ArrayPages.nolder tells how many extents are valid.
 */
#ifndef COLBERT_MAP_EXTENTS
#define COLBERT_MAP_EXTENTS 1008
#endif

typedef struct ExtentMap
{
	BlockNumber previous; /* map page of the extents before; InvalidBlockNumber on the first */
	uint32      unused;
	Extent      extents[COLBERT_MAP_EXTENTS];
} ExtentMap;

StaticAssertDecl(offsetof(ExtentMap, extents) == 8, "on-disk offset of ExtentMap.extents");
StaticAssertDecl(sizeof(ExtentMap) <= PAGE_PAYLOAD, "ExtentMap fits on its page");
StaticAssertDecl(COLBERT_MAP_EXTENTS % MOVED_EXTENTS == 0,
				 "extents that move together stay on one map page");

/* Free document slots are kept by how many sketch blocks they have room for. */
#define FREE_CLASSES 64

/* Runs of pending rows hold a power of two of rows each: no document has more than 2^29 tokens. */
#define RUN_CLASSES 30
/* Values of MetaDocuments.scale_log2: those of lengths from 1e18 to 1e-18, and no scale yet. */
#define SCALE_LIMIT 60
#define SCALE_UNSET INT8_MIN

/* On-disk numbers of the finders. */
typedef enum FinderKind
{
	FINDER_HNSW = 1,
	FINDER_IVF = 2
} FinderKind;

/* Lengths of tokens differ from this spread on: maxsim finds less then (drift.c). */
#define VARIED_LENGTHS 30

/* Tokens that were assigned to their nearest nodes. */
typedef struct Assigned
{
	uint64 tokens;
	double squares; /* of their distances, summed */
} Assigned;

/* Fixed when the index is made. */
typedef struct MetaShape
{
	uint16 dim;        /* of the tokens as the index keeps them */
	uint16 column_dim; /* of the documents; larger than dim if tokens are projected */
	uint16 m;
	uint8  metric; /* a Metric */
	uint8  codec;  /* a CodecId */
	uint8  finder; /* a FinderKind */
	uint8  unused[3];
	uint32 ef_construction;
	uint32 tokens_per_node; /* as resolved: never 0 */
	uint32 lists;           /* of colbert_ivf; 0: by tokens_per_node */
	uint32 pq_m;            /* parts that the dims are cut into if the codec is pq; otherwise 0 */
	uint32 unused2;
	uint64 seed;
	uint32 item_sizes[ARRAY_COUNT]; /* bytes; 0: this index has no such array */
} MetaShape;

StaticAssertDecl(offsetof(MetaShape, seed) == 32, "on-disk offset of MetaShape.seed");
StaticAssertDecl(sizeof(MetaShape) == 104, "on-disk size of MetaShape");

/*
 * The documents: changed by whoever holds the meta page exclusively. Counters
 * of documents and tokens count what is live: not dead, not free.
 */
typedef struct MetaDocuments
{
	uint64 live_tokens;
	uint64 pending_tokens;
	uint32 live_docs;
	uint32 dead_docs; /* dead, not yet freed */
	uint32 free_docs; /* slots on the free lists */
	uint32 unused2;

	/* Pending documents: queue items head .. tail - 1, then 0 .. wrapped - 1 (queue.h). */
	uint32 queue_head;
	uint32 queue_tail;
	uint32 queue_wrapped;
	uint32 queue_posted; /* tokens of the first document in the queue that have postings */
	uint32
		queue_suspects; /* documents from the front on that an interrupted merge may have posted */

	uint32 null_head; /* first null page with room; INVALID_ORDINAL: none */
	int8
		scale_log2; /* of the factor that brings tokens to about length 1; SCALE_UNSET until the first document */
	uint8 unused[3];

	uint32 nitems[DOCUMENT_ARRAYS]; /* items handed out */
	uint32 free_head[FREE_CLASSES]; /* document ordinals, INVALID_ORDINAL ends */
	uint32 free_runs
		[RUN_CLASSES]; /* first pending rows of free runs (pending_rows.c), INVALID_ORDINAL ends */
} MetaDocuments;

StaticAssertDecl(offsetof(MetaDocuments, nitems) == 60, "on-disk offset of MetaDocuments.nitems");
StaticAssertDecl(sizeof(MetaDocuments) == 472, "on-disk size of MetaDocuments");

/* The nodes: changed by the one who builds the index, or who holds the merge lock. */
typedef struct MetaNodes
{
	/* INVALID_ORDINAL if there are no nodes; of a graph, the entry point and its level. */
	uint32 entry_node;
	uint32 entry_level;

	/* Increased when mean and codebooks are trained: sketches of another epoch are not used. */
	uint32 epoch;
	float
		token_norm; /* root mean square of the prepared tokens' lengths, when the mean was trained; 0 before */

	/* Posting entries, those of dead documents included. */
	uint64 postings;

	/* Tokens that nodes were trained for, and others since: how many, and their squared distances to their nodes. */
	Assigned trained;
	Assigned merged;

	/* Items of ARRAY_PARAMS that are the mean and the codebooks of this epoch. */
	uint32 params_first;
	uint32 nparams;

	uint32 nitems[NODE_ARRAYS]; /* items handed out of the arrays from ARRAY_NODES on */
	uint8
		length_spread; /* of the tokens' lengths, when the mean was trained: percent of deviation, 1 to 255; 0: all within a hundredth */
	uint8
		postings_inexact; /* 1 while posting lists change, and after an interruption until VACUUM counts postings */
	uint8 unused[2];
} MetaNodes;

StaticAssertDecl(offsetof(MetaNodes, nitems) == 64, "on-disk offset of MetaNodes.nitems");
StaticAssertDecl(sizeof(MetaNodes) == 96, "on-disk size of MetaNodes");

/*
 * The meta page, by who changes it. A writer copies its part back and leaves
 * the others as they are.
 */
typedef struct MetaPageData
{
	uint32        magic;
	uint32        version;
	MetaShape     shape;
	MetaDocuments documents;
	MetaNodes     nodes;

	/* Where the arrays stand: changed by the holder of the growth lock. */
	ArrayPages  pages[ARRAY_COUNT];
	BlockNumber settled_blocks; /* every block below has an owner, which it keeps */
	uint32      unused;
} MetaPageData;

StaticAssertDecl(offsetof(MetaPageData, shape) == 8, "on-disk offset of MetaPageData.shape");
StaticAssertDecl(offsetof(MetaPageData, documents) == 112,
				 "on-disk offset of MetaPageData.documents");
StaticAssertDecl(offsetof(MetaPageData, nodes) == 584, "on-disk offset of MetaPageData.nodes");
StaticAssertDecl(offsetof(MetaPageData, pages) == 680, "on-disk offset of MetaPageData.pages");
StaticAssertDecl(sizeof(MetaPageData) + 1024 <= PAGE_PAYLOAD,
				 "MetaPageData leaves room on its page for what later versions add");

/* Items handed out of an array. */
static inline uint32
meta_nitems(const MetaPageData *meta, ArrayKind kind)
{
	return kind < ARRAY_NODES ? meta->documents.nitems[kind]
							  : meta->nodes.nitems[kind - ARRAY_NODES];
}

static inline void
meta_set_nitems(MetaPageData *meta, ArrayKind kind, uint32 nitems)
{
	if (kind < ARRAY_NODES)
		meta->documents.nitems[kind] = nitems;
	else
		meta->nodes.nitems[kind - ARRAY_NODES] = nitems;
}

/* Items on a page of an array that this index has. */
static inline uint32
meta_items_per_page(const MetaPageData *meta, ArrayKind kind)
{
	return PAGE_PAYLOAD / meta->shape.item_sizes[kind];
}

/*
 * A document. Slots begin as zeroes (DOC_NONE), are reserved with their place
 * in the other arrays, become live when all of it is written, dead when
 * VACUUM says so, and free once no posting refers to them. A slot keeps its
 * place in the other arrays for good.
 */
typedef enum DocState
{
	DOC_NONE = 0,
	DOC_RESERVED = 1,
	DOC_LIVE = 2,
	DOC_DEAD = 3,
	DOC_FREE = 4
} DocState;

/* DocEntry.flags */
#define DOC_PENDING  0x01 /* in the queue, in no posting list */
#define DOC_VERSIONS 0x02 /* its row may have other versions, on the version page */
#define DOC_ZERO     0x04 /* it has zero tokens that are not indexed: no query token scores below 0 */

typedef struct DocEntry
{
	ItemPointerData tid;
	uint8           state; /* a DocState */
	uint8           flags;
	uint32          ntokens;     /* of a free slot: the next free slot of its class */
	uint32          capacity;    /* code rows that the slot owns */
	uint32          first_block; /* first sketch block */
	uint32          first_row;   /* first code row */
	uint32          first_pending_row;
	uint32          epoch; /* of the sketches, and of the rows of a codec that is trained */
	uint32          hash;  /* of what the table stores (hashes.h); 0: unknown */
} DocEntry;

StaticAssertDecl(sizeof(DocEntry) == 36, "on-disk size of DocEntry");

/* A version of a row whose document is shared with the version in DocEntry.tid. */
typedef struct RowVersion
{
	ItemPointerData tid;
	uint16          slot; /* of the document on its page of ARRAY_DOCS */
} RowVersion;

StaticAssertDecl(sizeof(RowVersion) == 8, "on-disk size of RowVersion");

#define VERSIONS_PER_PAGE ((PAGE_PAYLOAD - 2 * sizeof(uint32)) / sizeof(RowVersion))

/* Row versions of the documents of one directory page, the oldest first. */
typedef struct VersionPage
{
	uint32     count;
	uint32     unused;
	RowVersion versions[VERSIONS_PER_PAGE];
} VersionPage;

StaticAssertDecl(offsetof(VersionPage, versions) == 8, "on-disk offset of VersionPage.versions");
StaticAssertDecl(sizeof(VersionPage) <= PAGE_PAYLOAD, "VersionPage fits on its page");
StaticAssertDecl(PAGE_PAYLOAD / sizeof(DocEntry) <= PG_UINT16_MAX,
				 "RowVersion.slot holds any place on a directory page");

/* A document by the hash of what the table stores for it. */
typedef struct HashSlot
{
	uint32 hash;
	uint32 doc;
} HashSlot;

StaticAssertDecl(sizeof(HashSlot) == 8, "on-disk size of HashSlot");

#define HASH_BUCKET_SLOTS ((PAGE_PAYLOAD - 2 * sizeof(uint32)) / sizeof(HashSlot))

/* A bucket of the hash table: its ordinal is the hash under its mask. */
typedef struct HashBucket
{
	uint32   mask;
	uint32   count;
	HashSlot slots[HASH_BUCKET_SLOTS];
} HashBucket;

StaticAssertDecl(offsetof(HashBucket, slots) == 8, "on-disk offset of HashBucket.slots");
StaticAssertDecl(sizeof(HashBucket) <= PAGE_PAYLOAD, "HashBucket fits on its page");

/* The first pending row of a free run. */
typedef struct FreeRun
{
	uint32 next; /* of the same length; INVALID_ORDINAL ends */
	uint32 seal; /* hash of both ordinals */
} FreeRun;

StaticAssertDecl(sizeof(FreeRun) == 8, "on-disk size of FreeRun: no row is smaller");

#define NULLS_PER_PAGE ((PAGE_PAYLOAD - 2 * sizeof(uint32)) / sizeof(ItemPointerData))

/* Heap rows whose document is NULL. */
typedef struct NullPage
{
	uint32          count;
	uint32          next; /* the next page with room, if this one has; INVALID_ORDINAL ends */
	ItemPointerData tids[NULLS_PER_PAGE];
} NullPage;

StaticAssertDecl(offsetof(NullPage, tids) == 8, "on-disk offset of NullPage.tids");
StaticAssertDecl(sizeof(NullPage) <= PAGE_PAYLOAD, "NullPage fits on its page");

/* Where a posting segment stands. */
typedef struct PostingRef
{
	BlockNumber  block; /* InvalidBlockNumber: the list is empty */
	OffsetNumber offset;
	uint16       unused;
} PostingRef;

StaticAssertDecl(sizeof(PostingRef) == 8, "on-disk size of PostingRef");

/*
 * One item of a posting page: a sorted run of distinct document ordinals of
 * one node. A long list is a chain of segments, the newest first. The node
 * number is the owner stamp: a reader that finds another node's segment where
 * its node sent it reads the node again.
 */
typedef struct PostingSegment
{
	uint32     node;
	uint32     count;
	PostingRef next;
	uint32     docs[FLEXIBLE_ARRAY_MEMBER];
} PostingSegment;

StaticAssertDecl(offsetof(PostingSegment, docs) == 16, "on-disk offset of PostingSegment.docs");

/* A node, beside its vector. */
typedef struct NodeEntry
{
	PostingRef postings;
	uint32     upper; /* its UpperEntry on level 1; INVALID_ORDINAL where it has none */
	uint32     unused;
} NodeEntry;

StaticAssertDecl(sizeof(NodeEntry) == 16, "on-disk size of NodeEntry");

/*
 * A node on one level of the graph: its vector and its neighbours, together,
 * so that a hop reads one page. On the lowest level vertex n is node n; on a
 * level above a vertex is named by the ordinal of its UpperEntry. The vector
 * is dim binary16 numbers, filled up to a multiple of 4 bytes; a NeighbourList
 * follows. It may be a mean that was given the length of the tokens: shrink
 * times the vector is the mean.
 */
typedef struct VertexEntry
{
	float  half_norm; /* |vector|^2 / 2 */
	float  shrink;    /* above 0, at most 1 */
	uint16 vector[FLEXIBLE_ARRAY_MEMBER];
} VertexEntry;

StaticAssertDecl(offsetof(VertexEntry, vector) == 8, "on-disk offset of VertexEntry.vector");

/*
 * Neighbours of a vertex: count, then as many vertices of the same level as
 * there are lanes (a multiple of 16), then one EdgeBlock for each 16 of them.
 */
typedef struct NeighbourList
{
	uint32 count;
	uint32 vertices[FLEXIBLE_ARRAY_MEMBER];
} NeighbourList;

StaticAssertDecl(offsetof(NeighbourList, vertices) == 4,
				 "on-disk offset of NeighbourList.vertices");

/*
 * 16 edges, from a vector c to a vector x each, with d = x - c and f and S its
 * factor and signs: add = -f * (S . Rc) - |d|^2/2. The sketch block is of the
 * d, without addends.
 */
typedef struct EdgeBlock
{
	float add[16];
	uint8 sketch[FLEXIBLE_ARRAY_MEMBER];
} EdgeBlock;

StaticAssertDecl(offsetof(EdgeBlock, sketch) == 64, "on-disk offset of EdgeBlock.sketch");

/* A node on a level above the lowest; its entries stand one after another, from level 1 up. A vertex follows. */
typedef struct UpperEntry
{
	uint32 node;
	uint32 level;
} UpperEntry;

StaticAssertDecl(sizeof(UpperEntry) == 8, "on-disk size of UpperEntry");

/*
 * The children of a parent: centroids first .. first + count - 1. The edges
 * to them, in this order, fill blocks of ARRAY_CHILD_EDGES from first_block on.
 */
typedef struct ListSpan
{
	uint32 first;
	uint32 count;
	uint32 first_block;
} ListSpan;

StaticAssertDecl(sizeof(ListSpan) == 12, "on-disk size of ListSpan");

#endif /* COLBERT_LAYOUT_H */
