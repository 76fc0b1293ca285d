/* SPDX-License-Identifier: MIT
 *
 * skynet: a tree of ten children per node down to a million leaves, which are summed; per node.
 */
#include <cadre.h>

#include "bench.h"

#define CHILDREN 10

static long leaves_of_all;

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
    struct node root = {.leaves = leaves_of_all};

    (void)arg;
    cadre_go(&g, visit, &root);
    bench_require(cadre_wait(&g) == 0 && root.sum == leaves_of_all * (leaves_of_all - 1) / 2, "the sum of the leaves");
}

int main(void)
{
    leaves_of_all = bench_pick(1000000, 100000);
    return bench_serve(cadre_version(), "ns/task", (double)(leaves_of_all * CHILDREN / (CHILDREN - 1)), run, NULL);
}
