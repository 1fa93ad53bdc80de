/*-------------------------------------------------------------------------
 *
 * layout.h
 *	  On-disk structs of an index, each with its size checked.
 *
 * Block 0 is the meta page. Every other block is a page of an array's extent,
 * a map page of an array, or a posting page. The special area of a page
 * records its kind. An all-zero page within an extent is an array page that
 * nothing has been written to. Any other all-zero page has no owner until
 * VACUUM makes it a posting page.
 *
 * A page array holds items of one fixed size, addressed by a 32-bit ordinal.
 * No item straddles two pages. pd_lower and pd_upper both equal pd_special, so
 * that generic WAL sees no hole in the page. If one item fills the page
 * (versions and hashes), pd_lower marks the end of its bytes in use.
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

/*
 * Maximum items of a page array. It stays well below the wraparound of
 * ordinals, so that loops that advance by pages cannot overflow.
 */
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

/* Bytes available to the items of one array page. */
#define PAGE_PAYLOAD (BLCKSZ - MAXALIGN(SizeOfPageHeaderData) - MAXALIGN(sizeof(PageTrailer)))

/* Page arrays of an index. The numbers are stored on disk. */
typedef enum ArrayKind
{
	ARRAY_DOCS = 0,         /* DocEntry */
	ARRAY_SKETCHES = 1,     /* blocks of the sketches of 16 tokens */
	ARRAY_ROWS = 2,         /* code rows of the codec */
	ARRAY_PENDING_ROWS = 3, /* sq8 rows of pending documents, if the codec is coarse */
	ARRAY_QUEUE = 4,        /* uint32 ordinals of pending documents */
	ARRAY_NULLS = 5,        /* NullPage */
	ARRAY_VERSIONS = 6,     /* VersionPage: page n serves the documents on page n of ARRAY_DOCS */
	ARRAY_HASHES = 7,       /* HashBucket */
	/* float4: the mean of the tokens (dim values), then the codec's codebooks if it has any. */
	ARRAY_PARAMS = 8,
	ARRAY_MEANS = 9,        /* rows of sketches: the mean of each document's tokens */
	ARRAY_NODES = 10,       /* NodeEntry */
	ARRAY_NEIGHBOURS = 11,  /* vertex: a node on the graph's lowest level */
	ARRAY_UPPER = 12,       /* UpperEntry and vertex: a node on an upper level */
	ARRAY_PARENTS = 13,     /* sq8 rows: parents of the centroids */
	ARRAY_CHILDREN = 14,    /* ListSpan: children of each parent */
	ARRAY_CENTROIDS = 15,   /* sq8 rows: node n is centroid n */
	ARRAY_CHILD_EDGES = 16, /* EdgeBlock: edges from a parent to 16 children */
	ARRAY_COUNT = 17
} ArrayKind;

/*
 * Number of arrays whose items are taken by writers of documents, under the
 * meta page's lock, and of arrays whose items are taken by the one writer of
 * the nodes.
 */
#define DOCUMENT_ARRAYS 10
#define NODE_ARRAYS     7

StaticAssertDecl(ARRAY_NODES == DOCUMENT_ARRAYS && ARRAY_COUNT == DOCUMENT_ARRAYS + NODE_ARRAYS,
				 "each array has one kind of writer");

/* Maximum pages added to an array at a time beyond those needed: 64 MB. */
#ifndef COLBERT_EXTENT_PAGES
#define COLBERT_EXTENT_PAGES ((uint32) (64 * 1024 * 1024 / BLCKSZ))
#endif

/*
 * Maximum extents per array listed on the meta page, and the number of these
 * that move to a map page at a time.
 */
#define MAX_EXTENTS   44
#define MOVED_EXTENTS 24

/*
 * Pages of an array on consecutive blocks. An extent holds the logical pages
 * from first_page up to the next extent's first page, or to the end of the
 * array.
 */
typedef struct Extent
{
	uint32      first_page;
	BlockNumber start;
} Extent;

StaticAssertDecl(sizeof(Extent) == 8, "on-disk size of Extent");

/*
 * Location of an array's pages. The newest extents are listed here; the older
 * ones are on map pages, where they never change.
 */
typedef struct ArrayPages
{
	uint32      npages;   /* pages in all extents */
	uint32      nolder;   /* extents on map pages */
	BlockNumber map;      /* newest map page, if nolder > 0 */
	uint32      nextents; /* extents listed below */
	Extent      extents[MAX_EXTENTS];
} ArrayPages;

StaticAssertDecl(sizeof(ArrayPages) == 16 + 8 * MAX_EXTENTS, "on-disk size of ArrayPages");

/*
 * Older extents of one array, in order. Every map page except the newest is
 * full. ArrayPages.nolder determines how many extents are valid.
 */
#ifndef COLBERT_MAP_EXTENTS
#define COLBERT_MAP_EXTENTS 1008
#endif

typedef struct ExtentMap
{
	BlockNumber previous; /* next older map page; InvalidBlockNumber on the oldest */
	uint32      unused;
	Extent      extents[COLBERT_MAP_EXTENTS];
} ExtentMap;

StaticAssertDecl(offsetof(ExtentMap, extents) == 8, "on-disk offset of ExtentMap.extents");
StaticAssertDecl(sizeof(ExtentMap) <= PAGE_PAYLOAD, "ExtentMap fits on its page");
StaticAssertDecl(COLBERT_MAP_EXTENTS % MOVED_EXTENTS == 0,
				 "extents that move together stay on one map page");

/* Number of free lists of document slots. A slot's capacity in sketch blocks selects its list. */
#define FREE_CLASSES 64

/*
 * Number of free lists of pending rows. A run of pending rows has a power of
 * two of rows; no document has more than 2^29 tokens.
 */
#define RUN_CLASSES 30
/*
 * Maximum absolute value of MetaDocuments.scale_log2, which covers token
 * lengths from 1e18 to 1e-18, and its value before the first document.
 */
#define SCALE_LIMIT 60
#define SCALE_UNSET INT8_MIN

/* Finders of the access methods. The numbers are stored on disk. */
typedef enum FinderKind
{
	FINDER_HNSW = 1,
	FINDER_IVF = 2
} FinderKind;

/*
 * Value of MetaNodes.length_spread from which token lengths count as varied.
 * The maxsim metric then has lower recall (drift.c).
 */
#define VARIED_LENGTHS 30

/* Bounds of the options of an index that the meta page keeps. */
#define MIN_M               2
#define MAX_M               100
#define MIN_EF_CONSTRUCTION 4
#define MAX_EF_CONSTRUCTION 1000
#define MAX_TOKENS_PER_NODE 1000000
#define MAX_LISTS           1048576

/* Tokens assigned to their nearest nodes. */
typedef struct Assigned
{
	uint64 tokens;
	double squares; /* sum of their squared distances */
} Assigned;

/* Properties fixed when the index is built. */
typedef struct MetaShape
{
	uint16 dim;        /* of the tokens as indexed */
	uint16 column_dim; /* of the documents; larger than dim if tokens are projected */
	uint16 m;
	uint8  metric; /* a Metric */
	uint8  codec;  /* a CodecId */
	uint8  finder; /* a FinderKind */
	uint8  unused[3];
	uint32 ef_construction;
	uint32 tokens_per_node;         /* resolved value: never 0 */
	uint32 lists;                   /* of colbert_ivf; 0: derived from tokens_per_node */
	uint32 pq_m;                    /* subvectors per token if the codec is pq; otherwise 0 */
	uint32 item_sizes[ARRAY_COUNT]; /* bytes; 0: the index does not have this array */
	uint64 seed;
} MetaShape;

StaticAssertDecl(offsetof(MetaShape, seed) == 96, "on-disk offset of MetaShape.seed");
StaticAssertDecl(sizeof(MetaShape) == 104, "on-disk size of MetaShape");

/*
 * State of the documents, changed by any backend that holds the meta page
 * exclusively. The counters of documents and tokens include live documents
 * only, not dead or free ones, unless their comment says otherwise.
 */
typedef struct MetaDocuments
{
	uint64 live_tokens;
	uint64 pending_tokens;
	uint32 live_docs;
	uint32 dead_docs; /* dead but not yet freed */
	uint32 free_docs; /* slots on the free lists */

	/* Pending documents: queue items head .. tail - 1, then 0 .. wrapped - 1 (queue.h). */
	uint32 queue_head;
	uint32 queue_tail;
	uint32 queue_wrapped;
	uint32 queue_posted; /* posted tokens of the first document in the queue */
	/* Documents at the front of the queue that an interrupted merge may have posted. */
	uint32 queue_suspects;

	uint32 null_head; /* first null page with room; INVALID_ORDINAL: none */
	/*
	 * Exponent of the factor that scales tokens to about length 1; SCALE_UNSET
	 * before the first document.
	 */
	int8  scale_log2;
	uint8 unused[3];

	uint32 nitems[DOCUMENT_ARRAYS]; /* items handed out per array */
	uint32 free_head[FREE_CLASSES]; /* first free document per list; INVALID_ORDINAL: none */
	/* First row of the first free run per list (pending_rows.c); INVALID_ORDINAL: none. */
	uint32 free_runs[RUN_CLASSES];
} MetaDocuments;

StaticAssertDecl(offsetof(MetaDocuments, nitems) == 56, "on-disk offset of MetaDocuments.nitems");
StaticAssertDecl(sizeof(MetaDocuments) == 472, "on-disk size of MetaDocuments");

/* State of the nodes, changed only by the index build or the holder of the merge lock. */
typedef struct MetaNodes
{
	/* INVALID_ORDINAL if there are no nodes. For a graph: the entry point and its level. */
	uint32 entry_node;
	uint32 entry_level;

	/* Number of trainings of mean and codebooks. Sketches of another epoch are not used. */
	uint32 epoch;
	/* Root mean square of the prepared tokens' lengths when the mean was trained; 0 before. */
	float token_norm;

	/* Number of postings, those of dead documents included. */
	uint64 postings;

	/* Tokens that the nodes were trained for, and tokens assigned since. */
	Assigned trained;
	Assigned merged;

	/* Items of ARRAY_PARAMS that hold this epoch's mean and codebooks. */
	uint32 params_first;
	uint32 nparams;

	uint32 nitems[NODE_ARRAYS]; /* items handed out of the arrays from ARRAY_NODES on */
	/*
	 * Standard deviation of token lengths when the mean was trained, in
	 * percent of their mean, 1 to 255; 0: all within a hundredth.
	 */
	uint8 length_spread;
	/*
	 * 1 while a merge writes postings, and after an interrupted merge until
	 * VACUUM counts the postings.
	 */
	uint8 postings_inexact;
	uint8 unused[2];
} MetaNodes;

StaticAssertDecl(offsetof(MetaNodes, nitems) == 64, "on-disk offset of MetaNodes.nitems");
StaticAssertDecl(sizeof(MetaNodes) == 96, "on-disk size of MetaNodes");

/*
 * Generations of the lists of colbert_ivf (relist.c), changed only by the
 * holder of the merge lock. All zero if the nodes were trained once.
 */
typedef struct MetaLists
{
	/* Searches use the parents and nodes from these on. */
	uint32 first_parent;
	uint32 first_node;
	/* Parents and nodes from these on are being filled; next_node is 0 if none are. */
	uint32 next_parent;
	uint32 next_node;
	/* Nodes below, at most first_node, have empty lists. */
	uint32 cleared_nodes;
	uint32 unused;
	/* Number of postings of the nodes that are being filled. */
	uint64 next_postings;
} MetaLists;

StaticAssertDecl(sizeof(MetaLists) == 32, "on-disk size of MetaLists");

/*
 * Work that a merge has left to later ones, changed only by the holder of the
 * merge lock. All zero if there is none.
 */
typedef struct MetaGrowth
{
	/* Those of unsettled_first .. unsettled_end - 1 with DOC_UNSETTLED are merged again. */
	uint32 unsettled_first;
	uint32 unsettled_end;
	/* 1 + the node that may lack older documents (merge_adopt.c); 0: none. */
	uint32 adopting;
	uint32 unused;
} MetaGrowth;

StaticAssertDecl(sizeof(MetaGrowth) == 16, "on-disk size of MetaGrowth");

/* Origin of the nodes, changed only by the index build. */
typedef struct MetaOrigin
{
	Oid    centroids; /* table whose centroids are the nodes; InvalidOid: the index trained them */
	uint32 unused;
} MetaOrigin;

StaticAssertDecl(sizeof(MetaOrigin) == 8, "on-disk size of MetaOrigin");

/*
 * Meta page, divided by writer. A writer copies its own part back and leaves
 * the others unchanged.
 */
typedef struct MetaPageData
{
	uint32        magic;
	uint32        version;
	MetaShape     shape;
	MetaDocuments documents;
	MetaNodes     nodes;

	/* Location of the arrays' pages; changed by the holder of the growth lock. */
	ArrayPages  pages[ARRAY_COUNT];
	BlockNumber settled_blocks; /* every block below has an owner, which never changes */
	uint32      unused;

	MetaLists  lists;
	MetaGrowth growth;
	MetaOrigin origin;
} MetaPageData;

StaticAssertDecl(offsetof(MetaPageData, shape) == 8, "on-disk offset of MetaPageData.shape");
StaticAssertDecl(offsetof(MetaPageData, documents) == 112,
				 "on-disk offset of MetaPageData.documents");
StaticAssertDecl(offsetof(MetaPageData, nodes) == 584, "on-disk offset of MetaPageData.nodes");
StaticAssertDecl(offsetof(MetaPageData, pages) == 680, "on-disk offset of MetaPageData.pages");
StaticAssertDecl(offsetof(MetaPageData, lists) == 6944, "on-disk offset of MetaPageData.lists");
StaticAssertDecl(offsetof(MetaPageData, growth) == 6976, "on-disk offset of MetaPageData.growth");
StaticAssertDecl(offsetof(MetaPageData, origin) == 6992, "on-disk offset of MetaPageData.origin");
StaticAssertDecl(sizeof(MetaPageData) + 1024 <= PAGE_PAYLOAD,
				 "MetaPageData leaves room on its page for what later versions add");

/* Return the number of items handed out of an array. */
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

/* Return the first node that searches use, and the end of these nodes. */
static inline uint32
meta_first_node(const MetaPageData *meta)
{
	return meta->lists.first_node;
}

static inline uint32
meta_end_node(const MetaPageData *meta)
{
	return meta->lists.next_node > 0 ? meta->lists.next_node : meta_nitems(meta, ARRAY_NODES);
}

/* Return true if the number of lists does not follow the number of tokens. */
static inline bool
meta_lists_are_fixed(const MetaPageData *meta)
{
	return meta->shape.lists > 0 || OidIsValid(meta->origin.centroids);
}

/* Return the number of nodes that searches use. */
static inline uint32
meta_nnodes(const MetaPageData *meta)
{
	return meta_end_node(meta) - meta_first_node(meta);
}

/* Return the items per page of an array that this index has. */
static inline uint32
meta_items_per_page(const MetaPageData *meta, ArrayKind kind)
{
	return PAGE_PAYLOAD / meta->shape.item_sizes[kind];
}

/*
 * State of a document slot.
 *
 * A slot begins as zeroes (DOC_NONE). It is reserved together with its place
 * in the other arrays, becomes live when all of them are written, dead when
 * VACUUM removes its row, and free once no posting refers to it. It keeps its
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

/* Values of DocEntry.flags. */
#define DOC_PENDING   0x01 /* in the queue, and in no posting list unless a merge was interrupted */
#define DOC_VERSIONS  0x02 /* its row may have other versions (versions.h) */
#define DOC_ZERO      0x04 /* has zero tokens, not indexed: no query token scores below 0 */
#define DOC_UNSETTLED 0x08 /* to be merged again after it has left the queue (merge_settle.c) */
#define DOC_FLAGS     (DOC_PENDING | DOC_VERSIONS | DOC_ZERO | DOC_UNSETTLED)

/* Directory entry of a document. */
typedef struct DocEntry
{
	ItemPointerData tid;
	uint8           state; /* a DocState */
	uint8           flags;
	uint32          ntokens;     /* of a free slot: next free slot of its list */
	uint32          capacity;    /* code rows owned by the slot */
	uint32          first_block; /* first sketch block */
	uint32          first_row;   /* first code row */
	uint32          first_pending_row;
	uint32          epoch; /* of the sketches, and of the rows of a trained codec */
	uint32          hash;  /* of the stored columns (hashes.h); 0: unknown */
} DocEntry;

StaticAssertDecl(sizeof(DocEntry) == 36, "on-disk size of DocEntry");

/* Version of a row that shares the document of the version in DocEntry.tid. */
typedef struct RowVersion
{
	ItemPointerData tid;
	uint16          slot; /* of the document on its page of ARRAY_DOCS */
} RowVersion;

StaticAssertDecl(sizeof(RowVersion) == 8, "on-disk size of RowVersion");

#define VERSIONS_PER_PAGE ((PAGE_PAYLOAD - 2 * sizeof(uint32)) / sizeof(RowVersion))

/* Row versions of the documents of one directory page, oldest first. */
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

/* Document and the hash of its stored columns. */
typedef struct HashSlot
{
	uint32 hash;
	uint32 doc;
} HashSlot;

StaticAssertDecl(sizeof(HashSlot) == 8, "on-disk size of HashSlot");

#define HASH_BUCKET_SLOTS ((PAGE_PAYLOAD - 2 * sizeof(uint32)) / sizeof(HashSlot))

/* Bucket of the hash table. Its ordinal equals hash & mask for each of its slots. */
typedef struct HashBucket
{
	uint32   mask;
	uint32   count;
	HashSlot slots[HASH_BUCKET_SLOTS];
} HashBucket;

StaticAssertDecl(offsetof(HashBucket, slots) == 8, "on-disk offset of HashBucket.slots");
StaticAssertDecl(sizeof(HashBucket) <= PAGE_PAYLOAD, "HashBucket fits on its page");

/* First pending row of a free run. */
typedef struct FreeRun
{
	uint32 next; /* next free run of the same length; INVALID_ORDINAL: none */
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

/* Location of a posting segment. */
typedef struct PostingRef
{
	BlockNumber  block; /* InvalidBlockNumber: the list is empty */
	OffsetNumber offset;
	uint16       unused;
} PostingRef;

StaticAssertDecl(sizeof(PostingRef) == 8, "on-disk size of PostingRef");

/*
 * Item of a posting page: a sorted run of distinct document ordinals of one
 * node.
 *
 * A long list is a chain of segments, newest first. The node number identifies
 * the owner: a reader that follows its node to a segment of another node reads
 * the node's entry again.
 */
typedef struct PostingSegment
{
	uint32     node;
	uint32     count;
	PostingRef next;
	uint32     docs[FLEXIBLE_ARRAY_MEMBER];
} PostingSegment;

StaticAssertDecl(offsetof(PostingSegment, docs) == 16, "on-disk offset of PostingSegment.docs");

/* Entry of a node; its vector is stored separately. */
typedef struct NodeEntry
{
	PostingRef postings;
	uint32     upper; /* UpperEntry on level 1; INVALID_ORDINAL: none */
	uint32     unused;
} NodeEntry;

StaticAssertDecl(sizeof(NodeEntry) == 16, "on-disk size of NodeEntry");

/*
 * Node on one level of the graph.
 *
 * Vector and neighbours are stored together, so that a hop reads one page. On
 * the lowest level vertex n is node n; on an upper level a vertex is
 * identified by the ordinal of its UpperEntry. The vector has dim binary16
 * values, padded to a multiple of 4 bytes; a NeighbourList follows. The vector
 * may be a centroid scaled to the length of the tokens: shrink times the
 * vector is then the centroid.
 */
typedef struct VertexEntry
{
	float  half_norm; /* |vector|^2 / 2 */
	float  shrink;    /* above 0, at most 1 */
	uint16 vector[FLEXIBLE_ARRAY_MEMBER];
} VertexEntry;

StaticAssertDecl(offsetof(VertexEntry, vector) == 8, "on-disk offset of VertexEntry.vector");

/*
 * Neighbours of a vertex: their count, one vertex of the same level per lane
 * (a multiple of 16 lanes), then one EdgeBlock per 16 lanes.
 */
typedef struct NeighbourList
{
	uint32 count;
	uint32 vertices[FLEXIBLE_ARRAY_MEMBER];
} NeighbourList;

StaticAssertDecl(offsetof(NeighbourList, vertices) == 4,
				 "on-disk offset of NeighbourList.vertices");

/*
 * Sketches of 16 edges. An edge leads from a vector c to a vector x. With d =
 * x - c, its factor f and its signs S: add = -f * (S . Rc) - |d|^2/2. The
 * sketch block encodes each d, without addends.
 */
typedef struct EdgeBlock
{
	float add[16];
	uint8 sketch[FLEXIBLE_ARRAY_MEMBER];
} EdgeBlock;

StaticAssertDecl(offsetof(EdgeBlock, sketch) == 64, "on-disk offset of EdgeBlock.sketch");

/*
 * Node on an upper level of the graph. The entries of a node are consecutive,
 * from level 1 up. A vertex follows each entry.
 */
typedef struct UpperEntry
{
	uint32 node;
	uint32 level;
} UpperEntry;

StaticAssertDecl(sizeof(UpperEntry) == 8, "on-disk size of UpperEntry");

/*
 * Children of a parent: centroids first .. first + count - 1. The edges to
 * them, in the same order, fill blocks of ARRAY_CHILD_EDGES from first_block
 * on.
 */
typedef struct ListSpan
{
	uint32 first;
	uint32 count;
	uint32 first_block;
} ListSpan;

StaticAssertDecl(sizeof(ListSpan) == 12, "on-disk size of ListSpan");

#endif /* COLBERT_LAYOUT_H */
