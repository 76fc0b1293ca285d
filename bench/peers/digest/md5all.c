/* SPDX-License-Identifier: MIT
 *
 * md5all's limit: libcrypto digests as many bytes in as many pieces as there are files, out of the cache, with nothing read or
 * written, by BENCH_THREADS threads. The directory is BENCH_TREE.
 */
#include <fts.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sys/stat.h>

#include "../../bench.h"

#define BUFFER_SIZE (256 * 1024L)
#define MOST_THREADS 256

struct job {
    long *sizes, count, room;
    long next; /* the file that is up */
    EVP_MD *md5;
    const char *buffer;
};

static void find_files(struct job *job, char *tree)
{
    FTS *walk = fts_open((char *[]){tree, NULL}, FTS_PHYSICAL | FTS_NOCHDIR, NULL);

    bench_require(walk != NULL, tree);
    for (FTSENT *entry = fts_read(walk); entry != NULL; entry = fts_read(walk)) {
        if (entry->fts_info != FTS_F)
            continue;
        if (job->count == job->room) {
            job->room = 2 * job->room + 1000;
            job->sizes = realloc(job->sizes, (size_t)job->room * sizeof *job->sizes);
            bench_require(job->sizes != NULL, "memory");
        }
        job->sizes[job->count++] = entry->fts_statp->st_size;
    }
    fts_close(walk);
    bench_require(job->count > 0, "a directory with files");
}

static void *digest(void *arg)
{
    struct job *job = arg;
    EVP_MD_CTX *md5 = EVP_MD_CTX_new();
    unsigned char result[EVP_MAX_MD_SIZE];

    for (long i = 0; (i = __atomic_fetch_add(&job->next, 1, __ATOMIC_RELAXED)) < job->count;) {
        bench_require(EVP_DigestInit_ex2(md5, job->md5, NULL), "EVP_DigestInit_ex2");
        for (long left = job->sizes[i]; left > 0; left -= BUFFER_SIZE) {
            size_t piece = (size_t)(left < BUFFER_SIZE ? left : BUFFER_SIZE);

            bench_require(EVP_DigestUpdate(md5, job->buffer, piece), "EVP_DigestUpdate");
        }
        bench_require(EVP_DigestFinal_ex(md5, result, NULL), "EVP_DigestFinal_ex");
    }
    EVP_MD_CTX_free(md5);
    return NULL;
}

static void run(const void *arg, double *figures)
{
    struct job job = *(const struct job *)arg;
    const char *text = getenv("BENCH_THREADS");
    int threads = text == NULL ? 1 : atoi(text);
    pthread_t thread[MOST_THREADS];
    double begin = bench_now();

    bench_require(threads > 0 && threads <= MOST_THREADS, "BENCH_THREADS");
    for (int i = 0; i < threads; i++)
        bench_require(pthread_create(&thread[i], NULL, digest, &job) == 0, "pthread_create");
    for (int i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    figures[0] = (bench_now() - begin) / 1e6;
}

int main(void)
{
    char *tree = getenv("BENCH_TREE");
    struct job job = {.md5 = EVP_MD_fetch(NULL, "MD5", NULL), .buffer = calloc(1, BUFFER_SIZE)};

    bench_require(tree != NULL && job.md5 != NULL && job.buffer != NULL, "BENCH_TREE, and a libcrypto with MD5");
    find_files(&job, tree);
    return bench_answer(OpenSSL_version(OPENSSL_VERSION_STRING), "ms", run, &job);
}
