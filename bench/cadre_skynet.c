/* SPDX-License-Identifier: MIT
 *
 * skynet: a tree of ten children per node down to a million leaves, which are summed; per node.
 */
#include <cadre.h>

#include "bench.h"

#define CHILDREN 10
#define LEAVES 1000000
#define NODES 1111111

struct node {
    long first, leaves, sum;
};

static int visit(struct cadre_ctx *ctx, void *arg)
{
    struct node *node = arg;

    (void)ctx;
    if (node->leaves == 1) {
        node->sum = node->first;
        return 0;
    }

    struct cadre_group g = {0};
    struct node child[CHILDREN];

    for (int i = 0; i < CHILDREN; i++) {
        long leaves = node->leaves / CHILDREN;

        child[i] = (struct node){.first = node->first + i * leaves, .leaves = leaves};
        cadre_go(&g, visit, &child[i]);
    }
    bench_require(cadre_wait(&g) == 0, "cadre_wait");
    for (int i = 0; i < CHILDREN; i++)
        node->sum += child[i].sum;
    return 0;
}

static void run(const void *arg)
{
    struct cadre_group g = {0};
    struct node root = {.leaves = LEAVES};

    (void)arg;
    cadre_go(&g, visit, &root);
    bench_require(cadre_wait(&g) == 0 && root.sum == (long)LEAVES * (LEAVES - 1) / 2, "the sum of the leaves");
}

int main(void)
{
    return bench_serve(cadre_version(), "ns/task", NODES, run, NULL);
}
