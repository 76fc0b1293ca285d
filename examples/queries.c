/* SPDX-License-Identifier: MIT
 * queries: many queries over a few connections to PostgreSQL, with libpq's calls that block and with those that do not.
 *
 *     $ queries --async -c 8 -n 100 "host=localhost dbname=test"
 *     100 queries over 8 connections: the sum is 10100; 0.29 s, one after the other at least 2.00 s
 *
 * A task for each query, as many at once as there are connections. Those that are idle lie in a channel: a task takes one,
 * uses it and puts it back. So every connection has one owner at any time: a task, or the channel.
 *
 * How to talk to the server is the only difference. With --blocking a task simply calls PQexecParams and holds a thread
 * meanwhile; when the context ends (SIGINT, the time limit, the first failure), queries that run are waited for. With --async
 * it waits for the connection's socket, which suspends only the task; when the context ends, the server is asked to give up
 * the query. */
#include <argp.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cadre.h"

/* How to talk to the server. After an error there is no result, and the connection is good for PQfinish only. */
struct manner {
    int (*connect)(struct cadre_ctx *ctx, PGconn **conn, const char *where);
    int (*exec)(struct cadre_ctx *ctx, PGconn *conn, const char *const *values, PGresult **result);
};

struct query {
    struct program *program;
    int number, answer;
};

struct program {
    const struct manner *manner;
    const char *where; /* libpq's connection string */
    int connections, queries;
    double sleep, limit; /* seconds; limit 0: none */
    struct query *query;
    struct cadre_chan idle; /* connections that nobody uses */
};

#define SQL "select pg_sleep($1::float8), $2::int * 2"

/* ------------------------------------------------------------------------------------------------ libpq, blocking -- */

/* What libpq has to say; the first line says it. */
static int failed(struct cadre_ctx *ctx, const PGconn *conn)
{
    const char *message = PQerrorMessage(conn);

    return cadre_fail(ctx, -EIO, "%.*s", (int)strcspn(message, "\n"), message);
}

static int connect_blocking(struct cadre_ctx *ctx, PGconn **conn, const char *where)
{
    *conn = PQconnectdb(where);
    return PQstatus(*conn) == CONNECTION_OK ? 0 : failed(ctx, *conn);
}

static int exec_blocking(struct cadre_ctx *ctx, PGconn *conn, const char *const *values, PGresult **result)
{
    int status = cadre_ctx_error(ctx); /* libpq does not look */

    if (status != 0)
        return status;
    *result = PQexecParams(conn, SQL, 2, NULL, values, NULL, NULL, 0);
    return *result != NULL ? 0 : failed(ctx, conn);
}

/* ------------------------------------------------------------------------------------------- libpq, without blocking -- */

static int connect_async(struct cadre_ctx *ctx, PGconn **conn, const char *where)
{
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    int events;

    *conn = PQconnectStart(where);
    if (PQstatus(*conn) == CONNECTION_BAD)
        return failed(ctx, *conn);
    while (status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING) {
        events = cadre_wait_fd(ctx, PQsocket(*conn), status == PGRES_POLLING_READING ? POLLIN : POLLOUT);
        if (events < 0)
            return events;
        status = PQconnectPoll(*conn);
    }
    return status == PGRES_POLLING_OK && PQsetnonblocking(*conn, 1) == 0 ? 0 : failed(ctx, *conn);
}

/* Until the query has been sent and its answer is there. */
static int wait_for_answer(struct cadre_ctx *ctx, PGconn *conn)
{
    int unsent, events;

    while ((unsent = PQflush(conn)) > 0 || (unsent == 0 && PQisBusy(conn))) {
        events = cadre_wait_fd(ctx, PQsocket(conn), unsent > 0 ? POLLIN | POLLOUT : POLLIN);
        if (events < 0)
            return events;
        if (!PQconsumeInput(conn))
            return failed(ctx, conn);
    }
    return unsent == 0 ? 0 : failed(ctx, conn);
}

/* Closing the connection would not do: the server would go on until it wanted to answer. */
static void cancel(PGconn *conn)
{
    PGcancel *cancel = PQgetCancel(conn);
    char why[256];

    PQcancel(cancel, why, sizeof why); /* it blocks for a moment, as a task may */
    PQfreeCancel(cancel);
}

static int exec_async(struct cadre_ctx *ctx, PGconn *conn, const char *const *values, PGresult **result)
{
    PGresult *last = NULL, *next;
    int status;

    if (!PQsendQueryParams(conn, SQL, 2, NULL, values, NULL, NULL, 0))
        return failed(ctx, conn);
    while ((status = wait_for_answer(ctx, conn)) == 0 && (next = PQgetResult(conn)) != NULL) {
        PQclear(last);
        last = next;
    }
    if (status == 0 && last != NULL) {
        *result = last;
        return 0;
    }
    PQclear(last);
    if (status == -ECANCELED || status == -ETIMEDOUT)
        cancel(conn);
    return status != 0 ? status : failed(ctx, conn);
}

static const struct manner blocking = { .connect = connect_blocking, .exec = exec_blocking };
static const struct manner async = { .connect = connect_async, .exec = exec_async };

/* ------------------------------------------------------------------------------------------------------ the tasks -- */

static void put_back(struct program *program, PGconn *conn)
{
    if (cadre_send(NULL, &program->idle, &conn) != 0) /* there is room for all */
        PQfinish(conn);
}

static void finish(void *conn) { PQfinish(*(PGconn **)conn); }

static int open_connection(struct cadre_ctx *ctx, void *arg)
{
    struct program *program = arg;
    PGconn *conn = NULL;
    int status = program->manner->connect(ctx, &conn, program->where);

    if (status == 0)
        put_back(program, conn);
    else
        PQfinish(conn);
    return status;
}

static int read_answer(struct cadre_ctx *ctx, struct query *query, const PGresult *result)
{
    const char *message = PQresultErrorMessage(result);

    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        return cadre_fail(ctx, -EIO, "query %d: %.*s", query->number, (int)strcspn(message, "\n"), message);
    query->answer = atoi(PQgetvalue(result, 0, 1));
    if (query->answer != 2 * query->number)
        return cadre_fail(ctx, -EBADMSG, "query %d: the answer is %d", query->number, query->answer);
    return 0;
}

static int ask(struct cadre_ctx *ctx, void *arg)
{
    struct query *query = arg;
    struct program *program = query->program;
    char number[16], sleep[32];
    PGresult *result;
    PGconn *conn;
    int status = cadre_recv(ctx, &program->idle, &conn);

    if (status != 0)
        return status;
    snprintf(sleep, sizeof sleep, "%f", program->sleep);
    snprintf(number, sizeof number, "%d", query->number);
    status = program->manner->exec(ctx, conn, (const char *[]){ sleep, number }, &result);
    if (status != 0) {
        PQfinish(conn);
        return status;
    }
    status = read_answer(ctx, query, result);
    PQclear(result);
    put_back(program, conn);
    return status;
}

static int ask_all(struct cadre_ctx *ctx, void *arg)
{
    struct program *program = arg;
    struct cadre_group g = {
        .parent = ctx, .name = "queries", .limit = program->connections, .flags = CADRE_CANCEL_ON_ERROR
    };

    for (int i = 0; i < program->connections; i++)
        cadre_go(&g, open_connection, program);
    for (int i = 0; i < program->queries; i++) {
        program->query[i] = (struct query){ .program = program, .number = i + 1 };
        cadre_go(&g, ask, &program->query[i]);
    }
    return cadre_wait(&g);
}

/* Fails when a signal comes. A second one ends the program there and then. */
static int interrupted(struct cadre_ctx *ctx, void *arg)
{
    sigset_t set;
    int number;

    (void)arg;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    number = cadre_wait_signal(ctx, &set);
    if (number < 0)
        return number;
    signal(SIGINT, SIG_DFL);
    return cadre_fail(ctx, -EINTR, "Interrupted");
}

/* ---------------------------------------------------------------------------------------------------- the program -- */

static void print_sum(const struct program *program, cadre_time took)
{
    long long sum = 0;

    for (int i = 0; i < program->queries; i++)
        sum += program->query[i].answer;
    printf("%d queries over %d connections: the sum is %lld; %.2f s, one after the other at least %.2f s\n", program->queries,
           program->connections, sum, (double)took / 1e9, program->queries * program->sleep);
}

/* What ends first, the queries or one's patience, ends the other. Returns the exit status. */
static int run(struct program *program)
{
    struct cadre_ctx limit = { .deadline = program->limit > 0 ? cadre_in((cadre_time)(program->limit * 1e9)) : 0 };
    struct cadre_job jobs[] = { { .fn = ask_all, .arg = program }, { .fn = interrupted } };
    struct cadre_error error = { 0 };
    struct cadre_jobs_options options = { .error = &error };
    cadre_time begin = cadre_now();
    int code = cadre_take(&limit, jobs, 2, 1, &options, NULL);

    cadre_chan_finish(&program->idle);
    if (code == 0)
        print_sum(program, cadre_now() - begin);
    else
        fprintf(stderr, "queries: %s\n", error.message);
    return code == 0 ? EXIT_SUCCESS : code == -EINTR ? 128 + SIGINT : EXIT_FAILURE;
}

static double number(struct argp_state *state, const char *text, double min, double max, const char *what)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value >= min && value <= max))
        argp_error(state, "%s: not a number of %s", text, what);
    return value;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct program *program = state->input;

    if (key == 'a')
        program->manner = &async;
    else if (key == 'b')
        program->manner = &blocking;
    else if (key == 'c')
        program->connections = (int)number(state, text, 1, 1000, "connections");
    else if (key == 'n')
        program->queries = (int)number(state, text, 1, 1e6, "queries");
    else if (key == 's')
        program->sleep = number(state, text, 0, 1e6, "seconds");
    else if (key == 't')
        program->limit = number(state, text, 1e-3, 1e6, "seconds");
    else if (key == ARGP_KEY_ARG && state->arg_num == 0)
        program->where = text;
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp_option options[] = {
    { "async", 'a', NULL, 0, "Wait for sockets (default)", 0 },
    { "blocking", 'b', NULL, 0, "Call what blocks", 0 },
    { "connections", 'c', "CONNECTIONS", 0, "How many (default: 8)", 0 },
    { "queries", 'n', "QUERIES", 0, "How many (default: 100)", 0 },
    { "sleep", 's', "SECONDS", 0, "How long each query takes (default: 0.02)", 0 },
    { "timeout", 't', "SECONDS", 0, "Give up what has not been answered by then", 0 },
    { 0 },
};

static const struct argp parser = {
    .options = options,
    .parser = parse_option,
    .args_doc = "[CONNECTION]",
    .doc = "Ask a PostgreSQL server many things over a few connections. CONNECTION is libpq's string; what it does not say is in "
           "PGHOST and its like.",
};

int main(int argc, char **argv)
{
    struct program program = { .manner = &async, .where = "", .connections = 8, .queries = 100, .sleep = 0.02 };
    PGconn **slots;
    int status = EXIT_FAILURE;

    argp_parse(&parser, argc, argv, 0, NULL, &program);
    slots = calloc((size_t)program.connections, sizeof *slots);
    program.query = calloc((size_t)program.queries, sizeof *program.query);
    program.idle = (struct cadre_chan){
        .size = sizeof *slots, .capacity = (size_t)program.connections, .slots = slots, .destroy = finish
    };
    if (slots != NULL && program.query != NULL)
        status = run(&program);
    else
        fputs("queries: out of memory\n", stderr);
    free(program.query);
    free(slots);
    return status;
}
