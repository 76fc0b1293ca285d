/* SPDX-License-Identifier: MIT
 * An intrusive circular doubly linked list. The head is one pointer to the first node, NULL when empty, so that a zeroed head is
 * an empty list; a node out of any list has next NULL. The head is stored atomically: some look at it without the lock. */
#ifndef CADRE_BASE_LIST_H
#define CADRE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct cdr_node {
    struct cdr_node *next, *prev;
};

static inline bool cdr_linked(const struct cdr_node *node) { return node->next != NULL; }

static inline void cdr_list_append(struct cdr_node **head, struct cdr_node *node)
{
    struct cdr_node *first = *head;

    if (first == NULL) {
        node->next = node->prev = node;
        __atomic_store_n(head, node, __ATOMIC_RELAXED);
        return;
    }
    node->next = first;
    node->prev = first->prev;
    first->prev->next = node;
    first->prev = node;
}

static inline void cdr_list_remove(struct cdr_node **head, struct cdr_node *node)
{
    if (node->next == node) {
        __atomic_store_n(head, NULL, __ATOMIC_RELAXED);
    } else {
        node->next->prev = node->prev;
        node->prev->next = node->next;
        if (*head == node)
            __atomic_store_n(head, node->next, __ATOMIC_RELAXED);
    }
    node->next = node->prev = NULL;
}

static inline struct cdr_node *cdr_list_take(struct cdr_node **head)
{
    struct cdr_node *first = *head;

    if (first != NULL)
        cdr_list_remove(head, first);
    return first;
}

#endif
