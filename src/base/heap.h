/* SPDX-License-Identifier: MIT
 * An intrusive pairing heap of times: the earliest first, equal times in the order of insertion. Insert is O(1), removal of
 * any node O(log n) amortised and needs no search. (Fredman, Sedgewick, Sleator, Tarjan: The Pairing Heap, 1986.) */
#ifndef CADRE_BASE_HEAP_H
#define CADRE_BASE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct cdr_heap_node {
    int64_t time;
    uint64_t order; /* set by the heap: breaks ties */
    struct cdr_heap_node *child, *next, *prev; /* prev: the left sibling, or the parent of a first child */
};

struct cdr_heap {
    struct cdr_heap_node *root;
    uint64_t order;
};

/* node->time is set by the caller and does not change while the node is in the heap. */
void cdr_heap_insert(struct cdr_heap *heap, struct cdr_heap_node *node);

/* The node must be in the heap. */
void cdr_heap_remove(struct cdr_heap *heap, struct cdr_heap_node *node);

static inline struct cdr_heap_node *cdr_heap_min(const struct cdr_heap *heap) { return heap->root; }

#endif
