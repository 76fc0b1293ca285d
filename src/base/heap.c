/* SPDX-License-Identifier: MIT
 * The pairing heap: a tree in heap order whose nodes have any number of children. Nothing here recurses, so that a heap of a
 * million timers needs no more stack than one of three. */
#include "base/heap.h"

#include <stddef.h>

static bool before(const struct cdr_heap_node *a, const struct cdr_heap_node *b)
{
    return a->time != b->time ? a->time < b->time : a->order < b->order;
}

/* Make one tree of two: the later root becomes the first child of the earlier. Both are roots: no next, no prev. */
static struct cdr_heap_node *merge(struct cdr_heap_node *a, struct cdr_heap_node *b)
{
    if (a == NULL)
        return b;
    if (b == NULL)
        return a;
    if (before(b, a)) {
        struct cdr_heap_node *later = a;

        a = b;
        b = later;
    }
    b->prev = a;
    b->next = a->child;
    if (a->child != NULL)
        a->child->prev = b;
    a->child = b;
    return a;
}

/* Cut a tree off the front of a row of siblings and return it as a root. */
static struct cdr_heap_node *take_first(struct cdr_heap_node **row)
{
    struct cdr_heap_node *node = *row;

    if (node != NULL) {
        *row = node->next;
        node->next = node->prev = NULL;
    }
    return node;
}

/* Make one tree of a row of siblings: merge them in pairs from the left, then the pairs from the right. Merging them one
 * after the other instead would cost O(n) for each removal in the worst case. */
static struct cdr_heap_node *merge_row(struct cdr_heap_node *row)
{
    struct cdr_heap_node *pairs = NULL, *tree = NULL;

    while (row != NULL) {
        struct cdr_heap_node *a = take_first(&row), *b = take_first(&row);
        struct cdr_heap_node *pair = merge(a, b);

        pair->next = pairs;
        pairs = pair;
    }
    while (pairs != NULL)
        tree = merge(take_first(&pairs), tree);
    return tree;
}

void cdr_heap_insert(struct cdr_heap *heap, struct cdr_heap_node *node)
{
    node->order = heap->order++;
    node->child = node->next = node->prev = NULL;
    heap->root = merge(heap->root, node);
}

void cdr_heap_remove(struct cdr_heap *heap, struct cdr_heap_node *node)
{
    struct cdr_heap_node *orphans = merge_row(node->child);

    if (node == heap->root) {
        heap->root = orphans;
    } else {
        if (node->prev->child == node)
            node->prev->child = node->next;
        else
            node->prev->next = node->next;
        if (node->next != NULL)
            node->next->prev = node->prev;
        heap->root = merge(heap->root, orphans);
    }
    node->child = node->next = node->prev = NULL;
}
