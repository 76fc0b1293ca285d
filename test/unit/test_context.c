/* SPDX-License-Identifier: MIT
 * Machine contexts: entering, switching, what a switch keeps, leaving a call early. */
#define _GNU_SOURCE 1
#include "test.h"

#include "platform/context.h"
#include "platform/os.h"
#include "platform/sanitizer.h"
#include "registers.h"

#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unwind.h>

#define STACK_SIZE ((size_t)256 << 10)
#define MANY 100000

/* A context with its stack. */
struct strand {
    struct cdr_context context;
    struct cdr_note_stack note;
    char *base, *low, *high;
    struct strand *back; /* whom to switch to */
    void (*body)(struct strand *self);
    uint64_t count, wrong;
    uintptr_t seen;
};

/* Handed on with every switch: to ThreadSanitizer a switch alone orders nothing. */
static unsigned baton;

static void hop(struct strand *from, struct strand *to, bool dying)
{
    struct cdr_note_stack target = to->note;

    cdr_add(&baton, 1u); /* after the last look at what others write later */
    cdr_note_switch(&from->note, &target, dying);
    cdr_context_switch(&from->context, &to->context);
    cdr_note_switched(&from->note);
    cdr_add(&baton, 1u);
}

static void strand_entry(void *arg)
{
    struct strand *self = arg;

    cdr_note_switched(&self->note);
    cdr_add(&baton, 1u);
    self->body(self);
    hop(self, self->back, true);
    abort(); /* a finished strand was resumed */
}

static void strand_init(struct strand *strand, struct strand *back, void (*body)(struct strand *self))
{
    memset(strand, 0, sizeof *strand);
    strand->base = cdr_stacks_map(STACK_SIZE, 1);
    assert_non_null(strand->base);
    strand->low = strand->base + cdr_page_size();
    strand->high = strand->base + STACK_SIZE;
    strand->back = back;
    strand->body = body;
    cdr_note_stack_new(&strand->note, strand->low, strand->high);
    cdr_context_init(&strand->context, strand->low, strand->high, strand_entry, strand);
}

static void strand_finish(struct strand *strand)
{
    cdr_note_stack_gone(&strand->note);
    cdr_stacks_unmap(strand->base, STACK_SIZE, 1);
}

static void native_init(struct strand *native)
{
    memset(native, 0, sizeof *native);
    cdr_note_stack_native(&native->note);
}

/* Run body on a new stack until it ends; it must not switch back before. */
static void run_on_a_stack(struct strand *strand, void (*body)(struct strand *self))
{
    struct strand native;

    native_init(&native);
    strand_init(strand, &native, body);
    hop(&native, strand, false);
    strand_finish(strand);
}

static void say_who(struct strand *self) { self->seen = (uintptr_t)self; }

static void a_new_context_calls_its_entry_with_its_argument(void **state)
{
    struct strand strand;

    (void)state;
    run_on_a_stack(&strand, say_who);
    assert_ptr_equal(strand.seen, (uintptr_t)&strand);
}

static void count_turns(struct strand *self)
{
    for (int i = 0; i < MANY; i++) {
        self->count++;
        hop(self, self->back, false);
    }
}

static void a_switch_back_goes_on_where_it_left(void **state)
{
    struct strand native, strand;

    (void)state;
    native_init(&native);
    strand_init(&strand, &native, count_turns);
    for (uint64_t i = 1; i <= MANY; i++) {
        hop(&native, &strand, false);
        assert_int_equal(strand.count, i);
    }
    hop(&native, &strand, false); /* to its end */
    strand_finish(&strand);
}

/* hop with every kept register watched, and different values in them at each turn. */
static void watched_hop(struct strand *from, struct strand *to, uint64_t seed)
{
    struct cdr_note_stack target = to->note;
    uint64_t wrong;

    cdr_add(&baton, 1u);
    cdr_note_switch(&from->note, &target, false);
    wrong = test_watch_registers((void (*)(void))cdr_context_switch, &from->context, &to->context, NULL, NULL, seed);
    cdr_note_switched(&from->note);
    cdr_add(&baton, 1u);
    if (wrong != 0)
        from->wrong = wrong;
}

static void watched_turns(struct strand *self)
{
    for (uint64_t i = 0; i < MANY; i++)
        watched_hop(self, self->back, ((uint64_t)(uintptr_t)self << 32) + i * 1000);
}

static void switches_keep_the_registers_that_calls_keep(void **state)
{
    struct strand native, a, b;

    (void)state;
    native_init(&native);
    strand_init(&a, &native, watched_turns);
    strand_init(&b, &a, watched_turns); /* native to b to a to native */
    for (uint64_t i = 0; i < MANY; i++)
        watched_hop(&native, &b, i * 777);
    assert_int_equal(native.wrong, 0);
    assert_int_equal(a.wrong, 0);
    assert_int_equal(b.wrong, 0);
    strand_finish(&a);
    strand_finish(&b);
}

/* The compiler takes the alignment at a function's entry on trust, so a misaligned entry shows in its locals. */
static void look_at_alignment(struct strand *self)
{
    _Alignas(16) char local[16] = "";
    char *p = local;

    __asm__ __volatile__("" : "+r"(p) : : "memory"); /* or the compiler answers from what it was told */
#ifdef __x86_64__
    __asm__ __volatile__("movaps %%xmm0, (%0)" : : "r"(p) : "memory"); /* faults when misaligned */
#endif
    self->seen = (uintptr_t)p % 16;
}

static void the_stack_is_aligned_at_entry(void **state)
{
    struct strand strand;

    (void)state;
    run_on_a_stack(&strand, look_at_alignment);
    assert_int_equal(strand.seen, 0);
}

static void the_stack_is_aligned_at_entry_whatever_its_end(void **state)
{
    struct strand native, strand;

    (void)state;
    for (ptrdiff_t cut = 1; cut < 32; cut++) {
        native_init(&native);
        strand_init(&strand, &native, look_at_alignment);
        strand.seen = UINTPTR_MAX;
        cdr_context_init(&strand.context, strand.low, strand.high - cut, strand_entry, &strand);
        hop(&native, &strand, false);
        assert_int_equal(strand.seen, 0);
        strand_finish(&strand);
    }
}

/* Frame below frame, down to the last 64 KiB, which sanitizers need for themselves. The lowest frame's address. */
__attribute__((noinline)) static uintptr_t descend(char *low)
{
    volatile char frame[1024];
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);

    frame[0] = 1;
    if (here - (uintptr_t)low < (64u << 10))
        return here;
    return descend(low) + (uintptr_t)frame[0] - 1;
}

static void use_stack(struct strand *self) { self->seen = descend(self->low); }

static void the_stack_can_be_used_to_its_low_end(void **state)
{
    struct strand strand;

    (void)state;
    run_on_a_stack(&strand, use_stack);
    assert_in_range(strand.seen, (uintptr_t)strand.low, (uintptr_t)strand.low + (64u << 10));
}

static void keep_locals(struct strand *self)
{
    volatile unsigned char local[4096];

    for (int i = 0; i < 4096; i++)
        local[i] = (unsigned char)i;
    hop(self, self->back, false);
    for (int i = 0; i < 4096; i++)
        if (local[i] != (unsigned char)i)
            self->wrong++;
}

static void each_context_has_its_own_locals(void **state)
{
    struct strand native, a, b;

    (void)state;
    native_init(&native);
    strand_init(&a, &native, keep_locals);
    strand_init(&b, &native, keep_locals);
    for (int turn = 0; turn < 2; turn++) {
        hop(&native, &a, false);
        hop(&native, &b, false);
    }
    assert_int_equal(a.wrong, 0);
    assert_int_equal(b.wrong, 0);
    strand_finish(&a);
    strand_finish(&b);
}

static void a_stack_can_be_used_again_from_the_top(void **state)
{
    struct strand native, strand;

    (void)state;
    native_init(&native);
    strand_init(&strand, &native, keep_locals);
    hop(&native, &strand, false); /* it stays suspended amid its locals */
    cdr_note_stack_reset(&strand.note);
    strand.body = say_who;
    cdr_context_init(&strand.context, strand.low, strand.high, strand_entry, &strand);
    hop(&native, &strand, false);
    assert_ptr_equal(strand.seen, (uintptr_t)&strand);
    strand_finish(&strand);
}

/* Not pthread_self(), whose value compilers keep across a switch. */
static uintptr_t thread_id(void) { return (uintptr_t)syscall(SYS_gettid); }

static void say_thread(struct strand *self)
{
    self->seen = thread_id();
    hop(self, self->back, false);
    self->seen = thread_id();
}

/* Returns the thread's own id, so that the test can compare. */
static void *resume(void *arg)
{
    struct strand *strand = arg, native;

    native_init(&native);
    strand->back = &native;
    hop(&native, strand, false);
    return (void *)thread_id();
}

static void a_context_can_go_on_on_another_thread(void **state)
{
    struct strand native, strand;
    pthread_t thread;
    void *other = NULL;

    (void)state;
    native_init(&native);
    strand_init(&strand, &native, say_thread);
    hop(&native, &strand, false);
    assert_int_equal(strand.seen, thread_id());
    assert_int_equal(pthread_create(&thread, NULL, resume, &strand), 0);
    assert_int_equal(pthread_join(thread, &other), 0);
    assert_int_equal(strand.seen, (uintptr_t)other);
    assert_int_not_equal((uintptr_t)other, thread_id());
    strand_finish(&strand);
}

static _Unwind_Reason_Code count_frame(struct _Unwind_Context *context, void *arg)
{
    uint64_t *frames = arg;

    if (_Unwind_GetIP(context) != 0) /* the end is shown as a frame at address 0 */
        ++*frames;
    return *frames < 1000 ? _URC_NO_REASON : _URC_NORMAL_STOP;
}

static void unwind(struct strand *self)
{
    uint64_t frames = 0;
    _Unwind_Reason_Code end = _Unwind_Backtrace(count_frame, &frames);

    self->seen = (uintptr_t)end;
    self->count = frames;
}

/* unwind, strand_entry unless it is inlined, and where contexts start; ucontext adds a frame of libc's. */
#ifdef CADRE_UCONTEXT
#define MOST_FRAMES 5
#else
#define MOST_FRAMES 3
#endif

static void a_backtrace_stops_at_the_entry(void **state)
{
    struct strand strand;

    (void)state;
    run_on_a_stack(&strand, unwind);
    assert_int_equal(strand.seen, _URC_END_OF_STACK);
    assert_in_range(strand.count, 2, MOST_FRAMES);
}

static int return_arg(struct cadre_ctx *ctx, void *arg)
{
    return ctx == NULL ? *(int *)arg : -1;
}

static void call_returns_what_the_function_returned(void **state)
{
    struct cdr_landing landing;
    int value = -12345;

    (void)state;
    assert_int_equal(cdr_call(&landing, return_arg, NULL, &value), -12345);
}

static int return_ctx(struct cadre_ctx *ctx, void *arg) { return (void *)ctx == arg; }

static void call_passes_the_context_on(void **state)
{
    struct cdr_landing landing;
    int any;

    (void)state;
    assert_int_equal(cdr_call(&landing, return_ctx, (struct cadre_ctx *)(void *)&any, &any), 1);
}

struct dive {
    struct cdr_landing *landing;
    int depth, code;
};

__attribute__((noinline)) static int sink(struct dive *dive, int depth)
{
    volatile char frame[256];

    frame[0] = (char)depth;
    if (depth == 0) {
        cdr_note_no_return();
        cdr_land(dive->landing, dive->code);
    }
    if (depth < 0)
        return -1;
    return sink(dive, depth - 1) + frame[0];
}

static int dive_and_land(struct cadre_ctx *ctx, void *arg)
{
    struct dive *dive = arg;

    (void)ctx;
    return sink(dive, dive->depth);
}

static void landing_makes_the_call_return_from_any_depth(void **state)
{
    (void)state;
    for (int depth = 0; depth < 100; depth++) {
        struct cdr_landing landing;
        struct dive dive = { &landing, depth, -depth };

        assert_int_equal(cdr_call(&landing, dive_and_land, NULL, &dive), -depth);
    }
}

static int watched_dive(struct cadre_ctx *ctx, void *arg)
{
    test_watch_registers((void (*)(void))dive_and_land, ctx, arg, NULL, NULL, 0x5555555555555555);
    return -1;
}

static void landing_restores_the_registers_of_the_call(void **state)
{
    struct cdr_landing landing;
    struct dive dive = { &landing, 10, 3 };
    int (*fn)(struct cadre_ctx *ctx, void *arg) = watched_dive;
    void *fn_word;

    (void)state;
    memcpy(&fn_word, &fn, sizeof fn_word);
    assert_int_equal(test_watch_registers((void (*)(void))cdr_call, &landing, fn_word, NULL, &dive, 0x123456789abcdef0), 0);
}

static int call_inner(struct cadre_ctx *ctx, void *arg)
{
    struct cdr_landing inner;
    struct dive dive = { &inner, 5, 10 };
    int code = cdr_call(&inner, dive_and_land, ctx, &dive);

    dive.landing = arg;
    dive.code = code + 1;
    return cdr_call(&inner, dive_and_land, ctx, &dive); /* past this call, to the outer one */
}

static void calls_nest(void **state)
{
    struct cdr_landing outer;

    (void)state;
    assert_int_equal(cdr_call(&outer, call_inner, NULL, &outer), 11);
}

static int switch_then_land(struct cadre_ctx *ctx, void *arg)
{
    struct strand *self = arg;
    struct dive dive = { (struct cdr_landing *)(void *)ctx, 20, 77 };

    hop(self, self->back, false);
    return dive_and_land(NULL, &dive);
}

static void call_on_strand(struct strand *self)
{
    struct cdr_landing landing;

    self->count = (uint64_t)cdr_call(&landing, switch_then_land, (struct cadre_ctx *)(void *)&landing, self);
}

static void a_call_survives_switches_within_it(void **state)
{
    struct strand native, strand;

    (void)state;
    native_init(&native);
    strand_init(&strand, &native, call_on_strand);
    hop(&native, &strand, false);
    assert_int_equal(strand.count, 0);
    hop(&native, &strand, false);
    assert_int_equal(strand.count, 77);
    strand_finish(&strand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_context_calls_its_entry_with_its_argument),
        cmocka_unit_test(a_switch_back_goes_on_where_it_left),
        cmocka_unit_test(switches_keep_the_registers_that_calls_keep),
        cmocka_unit_test(the_stack_is_aligned_at_entry),
        cmocka_unit_test(the_stack_is_aligned_at_entry_whatever_its_end),
        cmocka_unit_test(the_stack_can_be_used_to_its_low_end),
        cmocka_unit_test(each_context_has_its_own_locals),
        cmocka_unit_test(a_stack_can_be_used_again_from_the_top),
        cmocka_unit_test(a_context_can_go_on_on_another_thread),
        cmocka_unit_test(a_backtrace_stops_at_the_entry),
        cmocka_unit_test(call_returns_what_the_function_returned),
        cmocka_unit_test(call_passes_the_context_on),
        cmocka_unit_test(landing_makes_the_call_return_from_any_depth),
        cmocka_unit_test(landing_restores_the_registers_of_the_call),
        cmocka_unit_test(calls_nest),
        cmocka_unit_test(a_call_survives_switches_within_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
