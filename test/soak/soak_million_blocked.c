/* SPDX-License-Identifier: MIT
 * A million blocked tasks: what each of them costs, and that all of them wake. Skipped where memory is short. */
#include "../unit/test.h"

#include "../stress/memory_used.h"
#include "../unit/blocked.h"

#define MILLION 1000000
#define NEEDED (10LL << 30)

static struct cadre_chan gate;
static uint32_t started, woken;

static int wait_at_gate(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    cdr_add(&started, 1u);
    test_check(cadre_recv(ctx, &gate, NULL) == -EPIPE);
    cdr_add(&woken, 1u);
    return 0;
}

/* Where nothing else keeps the number down: see test_stress_capacity.c. */
static bool possible(void)
{
#if defined(CDR_ASAN) || defined(CDR_TSAN)
    return false;
#else
    return available() > NEEDED;
#endif
}

int main(void)
{
    struct cadre_group g = { 0 };
    cadre_time begin = cadre_now(), blocked, over;
    long long before = resident();

    if (!possible()) {
        printf("skipped: needs %lld MiB of memory and no sanitizer\n", NEEDED >> 20);
        return 77;
    }
    for (int i = 0; i < MILLION; i++)
        test_check(cadre_go(&g, wait_at_gate, NULL) == 0);
    while (cdr_load(&started) < MILLION)
        (void)cadre_sleep(NULL, CADRE_MS(1));
    while (blocked_receivers(&gate) < MILLION)
        (void)cadre_sleep(NULL, CADRE_MS(1));
    blocked = cadre_now();
    printf("%d blocked after %lld ms, %lld bytes resident each\n", MILLION, (long long)(blocked - begin) / 1000000,
           (resident() - before) / MILLION);
    cadre_chan_close(&gate);
    test_check(cadre_wait(&g) == 0);
    over = cadre_now();
    printf("all woken after %lld ms; %lld MiB resident afterwards\n", (long long)(over - blocked) / 1000000, resident() >> 20);
    test_check(woken == MILLION);
    return 0;
}
