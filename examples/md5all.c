/* SPDX-License-Identifier: MIT
 * md5all: the MD5 digests of all regular files under a directory, as find(1) and md5sum(1) would give them, sorted by path.
 *
 *     walk ──paths──> digest × N ──results──> collect
 *
 * One task walks the tree, N tasks read and digest, one collects. Bounded channels join them: a slow stage holds up the one
 * before it. cadre_pipeline closes a stage's channel when the last of its tasks has ended, and cancels all on the first error;
 * a signal cancels the context above. Either way every task is told, every blocked call returns, and the pipeline ends when
 * the last task has.
 *
 * A path is a malloc'd string and moves along with its struct file, which has one owner at a time: the walker, a channel
 * (which frees what nobody received), a digester, the collector's list. What went wrong with a file travels in the struct,
 * too, so that one place decides whether it ends the job: the collector. */
#include <argp.h>
#include <fcntl.h>
#include <fts.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cadre.h"

#define MAX_DIGESTERS 1024
#define CHANNEL_ROOM 256
#define BUFFER_SIZE (256 * 1024) /* after each a digester looks whether it has been cancelled */

struct file {
    char *path;
    int code; /* 0, or why there is no digest: a negative errno value */
    unsigned char digest[16];
};

struct job {
    char *root;
    int digesters;
    bool keep_going;
    EVP_MD *md5;
    struct cadre_ctx stop; /* what a signal cancels */
    struct file *list;     /* the collector's until it has ended, then main's */
    size_t count, room;
    cadre_time begin;
    atomic_ullong files, bytes; /* only for show: relaxed, they order nothing */
    sigset_t signals;
    int signal;           /* what stopped the job, or 0: the watcher's until it is joined */
    atomic_bool finished; /* the watcher's next signal comes from main */
};

/* ---------------------------------------------------------------------------------------------------- the stages -- */

static void file_destroy(void *file) { free(((struct file *)file)->path); }

/* Send file, or free it where that fails. */
static int pass_on(struct cadre_ctx *ctx, struct cadre_chan *to, struct file *file)
{
    int status = file->path == NULL ? -ENOMEM : cadre_send(ctx, to, file);

    if (status != 0)
        file_destroy(file);
    return status;
}

/* The first stage, one task. */
static int walk(struct cadre_ctx *ctx, struct cadre_chan *in, struct cadre_chan *paths, void *arg)
{
    struct job *job = arg;
    FTS *tree = fts_open((char *[]){ job->root, NULL }, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    FTSENT *entry;
    int status = tree == NULL ? cadre_fail(ctx, -errno, "'%s': %s", job->root, cadre_strerror(-errno)) : 0;
    bool failed;

    (void)in;
    while (status == 0 && (status = cadre_ctx_error(ctx)) == 0) {
        errno = 0;
        entry = fts_read(tree);
        if (entry == NULL) {
            status = -errno;
            break;
        }
        failed = entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS;
        if (failed || entry->fts_info == FTS_F)
            status =
                pass_on(ctx, paths, &(struct file){ .path = strdup(entry->fts_path), .code = failed ? -entry->fts_errno : 0 });
    }
    if (tree != NULL)
        fts_close(tree);
    return status;
}

/* Returns 0, the context's error, or what is wrong with the file. */
static int digest_file(struct cadre_ctx *ctx, struct job *job, EVP_MD_CTX *md5, void *buffer, struct file *file)
{
    /* Should something else have taken the file's place by now: no link is followed, no FIFO waited for. */
    int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY), status;
    ssize_t n = 0;
    int good;

    if (fd < 0)
        return -errno;
    good = EVP_DigestInit_ex2(md5, job->md5, NULL);
    while ((status = cadre_ctx_error(ctx)) == 0 && good && (n = read(fd, buffer, BUFFER_SIZE)) > 0) {
        good = EVP_DigestUpdate(md5, buffer, (size_t)n);
        atomic_fetch_add_explicit(&job->bytes, (size_t)n, memory_order_relaxed);
        if (n == BUFFER_SIZE)
            cadre_yield(); /* a long file lets others run, the progress line for one */
    }
    if (n < 0)
        status = -errno;
    else if (status == 0 && !(good && EVP_DigestFinal_ex(md5, file->digest, NULL)))
        status = -ENOMEM;
    close(fd);
    return status;
}

/* The second stage, N tasks. */
static int digest(struct cadre_ctx *ctx, struct cadre_chan *paths, struct cadre_chan *results, void *arg)
{
    struct job *job = arg;
    EVP_MD_CTX *md5 = EVP_MD_CTX_new();
    void *buffer = malloc(BUFFER_SIZE);
    struct file file;
    int status = md5 == NULL || buffer == NULL ? cadre_fail(ctx, -ENOMEM, "no memory for a digester") : 0;

    while (status == 0 && (status = cadre_recv(ctx, paths, &file)) == 0) {
        if (file.code == 0)
            file.code = digest_file(ctx, job, md5, buffer, &file);
        atomic_fetch_add_explicit(&job->files, file.code == 0, memory_order_relaxed);
        status = cadre_ctx_error(ctx);
        if (status != 0)
            file_destroy(&file); /* its code may be the cancel's, not its own */
        else
            status = pass_on(ctx, results, &file);
    }
    free(buffer);
    EVP_MD_CTX_free(md5);
    return status == -EPIPE ? 0 : status;
}

static bool list_append(struct job *job, const struct file *file)
{
    if (job->count == job->room) {
        size_t room = job->room == 0 ? 1024 : 2 * job->room;
        struct file *list = reallocarray(job->list, room, sizeof *list);

        if (list == NULL)
            return false;
        job->list = list;
        job->room = room;
    }
    job->list[job->count++] = *file;
    return true;
}

/* The third stage, one task: a file that failed ends the job, unless that is to keep going. */
static int collect(struct cadre_ctx *ctx, struct cadre_chan *results, struct cadre_chan *out, void *arg)
{
    struct job *job = arg;
    struct file file;
    int status;

    (void)out;
    while ((status = cadre_recv(ctx, results, &file)) == 0) {
        if (!list_append(job, &file)) {
            file_destroy(&file);
            return -ENOMEM;
        }
        if (file.code != 0 && !job->keep_going)
            return file.code;
    }
    return status == -EPIPE ? 0 : status;
}

/* All of them. A task itself, so that the message of what failed becomes its group's. */
static int run_stages(struct cadre_ctx *ctx, void *arg)
{
    struct job *job = arg;
    struct file path_slots[CHANNEL_ROOM], result_slots[CHANNEL_ROOM];
    struct cadre_chan paths = {
        .size = sizeof(struct file), .capacity = CHANNEL_ROOM, .slots = path_slots, .destroy = file_destroy
    };
    struct cadre_chan results = paths;
    const struct cadre_stage stages[] = {
        { .name = "walk", .fn = walk, .arg = job, .out = &paths },
        { .name = "digest", .fn = digest, .arg = job, .out = &results, .tasks = job->digesters },
        { .name = "collect", .fn = collect, .arg = job },
    };

    results.slots = result_slots;
    return cadre_pipeline(ctx, stages, sizeof stages / sizeof *stages);
}

/* ---------------------------------------------------------------------------------------------------- the output -- */

static void print_figures(struct job *job, const char *before, const char *after)
{
    double seconds = (double)(cadre_now() - job->begin) / 1e9;
    double megabytes = (double)atomic_load_explicit(&job->bytes, memory_order_relaxed) / 1e6;
    unsigned long long files = atomic_load_explicit(&job->files, memory_order_relaxed);

    fprintf(stderr, "%smd5all: %llu files, %.1f MB in %.2f s, %.1f MB/s%s", before, files, megabytes, seconds,
            megabytes / (seconds > 0 ? seconds : 1), after);
}

/* The progress line, a task beside the stages; it ends when its group is cancelled. */
static int show_progress(struct cadre_ctx *ctx, void *arg)
{
    while (cadre_sleep(ctx, CADRE_MS(200)) == 0)
        print_figures(arg, "\r\033[K", "");
    fputs("\r\033[K", stderr);
    return 0;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

/* What md5sum(1) would have to escape. */
static const char odd[] = "\\\n\r";

static void print_name(FILE *out, const char *path)
{
    for (; *path != '\0'; path++) {
        const char *found = strchr(odd, *path);

        if (found != NULL)
            putc('\\', out);
        putc(found == NULL ? *path : "\\nr"[found - odd], out);
    }
}

/* As every error of the program: "md5all: NAME: reason". Returns the exit status that goes with it. */
static int complain(const char *name, int code)
{
    fputs("md5all: ", stderr);
    print_name(stderr, name);
    fprintf(stderr, ": %s\n", cadre_strerror(code));
    return EXIT_FAILURE;
}

/* Names on stderr the files that failed and returns how many they are. */
static size_t print_failures(const struct job *job)
{
    size_t failed = 0;

    for (const struct file *file = job->list; file < job->list + job->count; file++)
        if (file->code != 0) {
            complain(file->path, file->code);
            failed++;
        }
    return failed;
}

static void print_digest(const struct file *file)
{
    if (strpbrk(file->path, odd) != NULL)
        putchar('\\');
    for (size_t i = 0; i < sizeof file->digest; i++)
        printf("%02x", file->digest[i]);
    fputs("  ", stdout);
    print_name(stdout, file->path);
    putchar('\n');
}

/* Says what came of it all and returns the exit status. */
static int report(struct job *job, const struct cadre_error *error)
{
    size_t failed;

    if (job->count > 0)
        qsort(job->list, job->count, sizeof *job->list, by_path);
    failed = print_failures(job);
    if (error->code != 0) {
        if (failed == 0)
            fprintf(stderr, "md5all: %s\n", error->message);
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < job->count && !ferror(stdout); i++)
        if (job->list[i].code == 0)
            print_digest(&job->list[i]);
    if (ferror(stdout) || fclose(stdout) != 0)
        return complain("standard output", -errno);
    print_figures(job, "", "\n");
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --------------------------------------------------------------------------------------------------- the program -- */

/* A plain thread that turns a signal into a cancel. Who sends a second one will not wait. */
static void *watch_signals(void *arg)
{
    struct job *job = arg;
    int number;

    while (sigwait(&job->signals, &number) == 0 && !atomic_load_explicit(&job->finished, memory_order_acquire)) {
        if (job->signal != 0)
            _exit(128 + number);
        job->signal = number;
        cadre_ctx_cancel(&job->stop, -EINTR, strsignal(number));
    }
    return NULL;
}

/* All that is concurrent happens in here: when it returns, no task is left. Returns the first error. */
static struct cadre_error run(struct job *job)
{
    struct cadre_group stages = { .parent = &job->stop, .name = "stages" };
    struct cadre_group display = { .name = "display" };

    if (isatty(STDERR_FILENO))
        cadre_go(&display, show_progress, job);
    cadre_go(&stages, run_stages, job);
    cadre_wait(&stages);
    cadre_group_cancel(&display, 0, NULL);
    cadre_wait(&display);
    return cadre_group_error(&stages);
}

/* Runs the job while the watcher has the signals; afterwards one simply ends the program. Returns the exit status. */
static int run_watched(struct job *job)
{
    struct cadre_error error;
    pthread_t watcher;
    int code = pthread_create(&watcher, NULL, watch_signals, job);

    if (code != 0)
        return complain("cannot start a thread", -code);
    error = run(job);
    atomic_store_explicit(&job->finished, true, memory_order_release); /* with the watcher's acquire */
    pthread_kill(watcher, SIGTERM);
    pthread_join(watcher, NULL);
    if (job->signal != 0)
        return 128 + job->signal;
    pthread_sigmask(SIG_UNBLOCK, &job->signals, NULL);
    return report(job, &error);
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct job *job = state->input;
    char *end;
    long n;

    if (key == 'j') {
        n = strtol(text, &end, 10);
        if (end == text || *end != '\0' || n < 1 || n > MAX_DIGESTERS)
            argp_error(state, "%s: not a number of digesters from 1 to %d", text, MAX_DIGESTERS);
        job->digesters = (int)n;
    } else if (key == 'k') {
        job->keep_going = true;
    } else if (key == ARGP_KEY_ARG && job->root == NULL) {
        job->root = text;
    } else if (key == ARGP_KEY_NO_ARGS) {
        argp_error(state, "no directory given");
    } else {
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_option options[] = {
    { "digesters", 'j', "DIGESTERS", 0, "How many tasks digest files (default: one for each worker)", 0 },
    { "keep-going", 'k', NULL, 0, "Report what cannot be read and print all the rest", 0 },
    { 0 },
};

static const struct argp parser = {
    .options = options,
    .parser = parse_option,
    .args_doc = "DIR",
    .doc = "Print the MD5 digests of all regular files under DIR as md5sum does, sorted by path.\v"
           "Symbolic links are not followed. The first file that cannot be read ends the work and nothing is printed, "
           "unless -k is given. The exit status is 0 when all went well, 1 when not, 130 after SIGINT, 143 after SIGTERM.",
};

int main(int argc, char **argv)
{
    struct job job = { 0 };
    int status = EXIT_FAILURE;

    sigemptyset(&job.signals);
    sigaddset(&job.signals, SIGINT);
    sigaddset(&job.signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &job.signals, NULL); /* first of all: every thread inherits it */
    signal(SIGPIPE, SIG_IGN);                       /* a closed pipe is an error of write(2) */

    argp_err_exit_status = EXIT_FAILURE;
    argp_program_version = cadre_version();
    argp_parse(&parser, argc, argv, 0, NULL, &job);

    job.begin = cadre_now();
    job.md5 = EVP_MD_fetch(NULL, "MD5", NULL);
    if (job.digesters == 0)
        job.digesters = cadre_workers();
    if (job.md5 == NULL)
        fputs("md5all: libcrypto has no MD5\n", stderr);
    else if (job.digesters < 0)
        complain("cannot start the runtime", job.digesters);
    else
        status = run_watched(&job);

    for (size_t i = 0; i < job.count; i++)
        file_destroy(&job.list[i]);
    free(job.list);
    EVP_MD_free(job.md5);
    return status;
}
