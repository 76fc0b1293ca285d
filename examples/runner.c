/* SPDX-License-Identifier: MIT
 * runner: runs the commands of a file of rules, as many at a time as may be, each when what it depends on is done. The rules are a small
 * part of make's:
 *
 *     # a comment
 *     target: dependency dependency …
 *     <tab>command                    each line by a shell of its own, the next one if that succeeded
 *
 * There are no variables, patterns and times: what is asked for is done, once. A dependency without a rule must be a file. A command
 * whose first word has a slash, and that has nothing in it that a shell would have to look at, is run without one.
 *
 * Each rule is a task of one group, whose limit is how many commands run at a time. A rule counts what it waits for; whoever counts it down
 * to nothing starts it. The queue has no bound, so starting never waits. */
#include <argp.h>
#include <search.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cadre.h"

#define MAX_JOBS 4096
#define MAX_WORDS 64
#define ERR_SIZE 8192

struct list {
    void **items;
    size_t count;
};

struct rule {
    char *name;
    int line; /* where it begins; 0: it is only depended on */
    struct list commands, needs, users;
    enum { UNSEEN, OPEN, CHOSEN } mark;
    struct job *job;
    atomic_size_t waits_for;
    atomic_bool spoiled; /* something that it needs has failed */
};

struct job {
    const char *path;
    struct list goals; /* names */
    int at_once;
    bool keep_going;
    struct list rules;
    void *by_name; /* tsearch(3) */
    struct cadre_group group;
    atomic_size_t commands, failures, skipped;
};

static void *no_null(void *p)
{
    if (p == NULL) {
        fputs("runner: no memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    return p;
}

static void append(struct list *list, void *item)
{
    if ((list->count & (list->count - 1)) == 0) /* at 0, 1, 2, 4 …: room for twice as many */
        list->items = no_null(reallocarray(list->items, list->count == 0 ? 1 : 2 * list->count, sizeof *list->items));
    list->items[list->count++] = item;
}

/* ----------------------------------------------------------------------------------------------------- the rules -- */

static int by_name(const void *a, const void *b) { return strcmp(((const struct rule *)a)->name, ((const struct rule *)b)->name); }

/* The rule of that name, which there is from now on. */
static struct rule *rule_named(struct job *job, char *name)
{
    struct rule key = { .name = name }, *rule, **found = no_null(tsearch(&key, &job->by_name, by_name));

    if (*found != &key)
        return *found;
    rule = no_null(calloc(1, sizeof *rule));
    rule->name = no_null(strdup(name));
    rule->job = job;
    *found = rule;
    append(&job->rules, rule);
    return rule;
}

static bool wrong(const struct job *job, int line, const char *what)
{
    fprintf(stderr, "runner: %s:%d: %s\n", job->path, line, what);
    return false;
}

/* "target: dependency …" */
static bool read_head(struct job *job, char *text, int line, struct rule **current)
{
    char *colon = strchr(text, ':'), *rest, *name;

    if (colon == NULL)
        return wrong(job, line, "neither a rule nor a command");
    *colon = 0;
    name = strtok_r(text, " \t", &rest);
    if (name == NULL || strtok_r(NULL, " \t", &rest) != NULL)
        return wrong(job, line, "not one target");
    *current = rule_named(job, name);
    if ((*current)->line == 0)
        (*current)->line = line;
    if (job->goals.count == 0)
        append(&job->goals, (*current)->name);
    for (name = strtok_r(colon + 1, " \t", &rest); name != NULL; name = strtok_r(NULL, " \t", &rest)) {
        struct rule *need = rule_named(job, name);

        append(&(*current)->needs, need);
        append(&need->users, *current);
    }
    return true;
}

static bool read_rules(struct job *job)
{
    FILE *file = strcmp(job->path, "-") == 0 ? stdin : fopen(job->path, "re");
    struct rule *current = NULL;
    char *text = NULL;
    size_t room = 0;
    bool good = true;

    if (file == NULL) {
        fprintf(stderr, "runner: %s: %s\n", job->path, cadre_strerror(-errno));
        return false;
    }
    for (int line = 1; good && getline(&text, &room, file) >= 0; line++) {
        text[strcspn(text, "\n")] = 0;
        if (text[0] == '\t' && current == NULL)
            good = wrong(job, line, "a command without a rule");
        else if (text[0] == '\t')
            append(&current->commands, no_null(strdup(text + 1)));
        else if (text[0] != '#' && text[strspn(text, " \t")] != 0)
            good = read_head(job, text, line, &current);
    }
    free(text);
    fclose(file);
    return good;
}

/* Mark rule and all that it needs, which must not be itself. */
static bool choose(struct rule *rule, const struct rule *user)
{
    if (rule->mark == OPEN)
        return wrong(rule->job, rule->line, "a target that depends on itself");
    if (rule->mark == CHOSEN)
        return true;
    if (rule->line == 0 && access(rule->name, F_OK) != 0) {
        fprintf(stderr, "runner: no rule for '%s'%s%s\n", rule->name, user != NULL ? ", needed by " : "", user != NULL ? user->name : "");
        return false;
    }
    rule->mark = OPEN;
    for (size_t i = 0; i < rule->needs.count; i++)
        if (!choose(rule->needs.items[i], rule))
            return false;
    rule->mark = CHOSEN;
    return true;
}

static bool choose_goals(struct job *job)
{
    for (size_t i = 0; i < job->goals.count; i++)
        if (!choose(rule_named(job, job->goals.items[i]), NULL))
            return false;
    return true;
}

static void free_rules(struct job *job)
{
    for (size_t i = 0; i < job->rules.count; i++) {
        struct rule *rule = job->rules.items[i];

        tdelete(rule, &job->by_name, by_name);
        for (size_t j = 0; j < rule->commands.count; j++)
            free(rule->commands.items[j]);
        free(rule->commands.items);
        free(rule->needs.items);
        free(rule->users.items);
        free(rule->name);
        free(rule);
    }
    free(job->rules.items);
    free(job->goals.items);
}

/* --------------------------------------------------------------------------------------------------- the commands -- */

static void report(const struct rule *rule, const char *text, int code, const struct cadre_exit *exit, const char *err)
{
    const char *newline = err[0] != 0 && err[strlen(err) - 1] != '\n' ? "\n" : "";

    if (code < 0)
        fprintf(stderr, "runner: %s: %s: %s\n", rule->name, text, cadre_strerror(code));
    else if (exit->signal != 0)
        fprintf(stderr, "%s%srunner: %s: %s: %s\n", err, newline, rule->name, text, strsignal(exit->signal));
    else
        fprintf(stderr, "%s%srunner: %s: %s: exit status %d\n", err, newline, rule->name, text, exit->status);
}

/* Words, when text needs no shell to be understood. */
static bool split(char *text, char **words)
{
    size_t n = 0;
    char *rest;

    if (strpbrk(text, "|&;<>()$`\\\"'*?[]#~=%{}!") != NULL)
        return false;
    for (char *word = strtok_r(text, " \t", &rest); word != NULL && n < MAX_WORDS; word = strtok_r(NULL, " \t", &rest))
        words[n++] = word;
    words[n] = NULL;
    return n > 0 && n < MAX_WORDS && strchr(words[0], '/') != NULL;
}

static int run_command(struct cadre_ctx *ctx, struct rule *rule, char *text)
{
    char *copy = no_null(strdup(text)), *words[MAX_WORDS + 1], *err = no_null(malloc(ERR_SIZE));
    char *by_shell[] = { (char[]){ "sh" }, (char[]){ "-c" }, text, NULL };
    struct cadre_command command = { .argv = split(copy, words) ? words : by_shell, .err_text = err, .err_size = ERR_SIZE };
    struct cadre_exit exit;
    int code;

    atomic_fetch_add(&rule->job->commands, 1);
    code = cadre_exec(ctx, &command, &exit);
    if (code != 0 && cadre_ctx_error(ctx) == 0) {
        atomic_fetch_add(&rule->job->failures, 1);
        report(rule, text, code, &exit, err);
    }
    free(copy);
    free(err);
    return code;
}

static int run_rule(struct cadre_ctx *ctx, void *arg);

/* Rule waits for one thing less. */
static void release(struct rule *rule)
{
    if (atomic_fetch_sub(&rule->waits_for, 1) == 1)
        cadre_go(&rule->job->group, run_rule, rule);
}

static int run_rule(struct cadre_ctx *ctx, void *arg)
{
    struct rule *rule = arg;
    bool spoiled = atomic_load(&rule->spoiled);
    int code = 0;

    if (spoiled && rule->commands.count > 0)
        atomic_fetch_add(&rule->job->skipped, 1);
    for (size_t i = 0; i < rule->commands.count && !spoiled && code == 0; i++)
        code = run_command(ctx, rule, rule->commands.items[i]);
    if (code != 0 && !rule->job->keep_going)
        return code; /* nothing more starts */
    for (size_t i = 0; i < rule->users.count; i++) {
        struct rule *user = rule->users.items[i];

        if (code != 0 || spoiled)
            atomic_store(&user->spoiled, true);
        if (user->mark == CHOSEN)
            release(user);
    }
    return code;
}

/* --------------------------------------------------------------------------------------------------- the program -- */

/* A signal ends all commands, with all that they have started. */
static int watch(struct cadre_ctx *ctx, void *arg)
{
    struct job *job = arg;
    sigset_t set;
    int number;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    number = cadre_wait_signal(ctx, &set);
    if (number > 0)
        cadre_group_cancel(&job->group, 128 + number, strsignal(number));
    return number > 0 ? 128 + number : 0;
}

/* Run what was chosen. Returns the exit status. */
static int run(struct job *job)
{
    struct cadre_group watcher = { .name = "watcher" };
    cadre_time begin = cadre_now();
    double seconds;
    int code;

    job->group = (struct cadre_group){ .limit = job->at_once, .queue = CADRE_UNBOUNDED, .flags = job->keep_going ? 0 : CADRE_STOP_ON_ERROR };
    cadre_go(&watcher, watch, job);
    for (size_t i = 0; i < job->rules.count; i++)
        ((struct rule *)job->rules.items[i])->waits_for = ((struct rule *)job->rules.items[i])->needs.count + 1;
    for (size_t i = 0; i < job->rules.count; i++)
        if (((struct rule *)job->rules.items[i])->mark == CHOSEN)
            release(job->rules.items[i]);
    code = cadre_wait(&job->group);
    cadre_group_cancel(&watcher, 0, NULL);
    if (cadre_wait(&watcher) > 128)
        return cadre_group_error(&watcher).code;
    if (code < 0 && job->failures == 0) /* of the runtime, not of a command */
        fprintf(stderr, "runner: %s\n", cadre_group_error(&job->group).message);
    seconds = (double)(cadre_now() - begin) / 1e9;
    fprintf(stderr, "runner: %zu commands, %zu failed, %zu left out, %.2f s, %.0f commands/s\n", job->commands, job->failures, job->skipped,
            seconds, (double)job->commands / (seconds > 0 ? seconds : 1));
    return code == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct job *job = state->input;
    char *end;
    long n;

    if (key == 'j') {
        n = strtol(text, &end, 10);
        if (end == text || *end != 0 || n < 1 || n > MAX_JOBS)
            argp_error(state, "%s: not a number of commands from 1 to %d", text, MAX_JOBS);
        job->at_once = (int)n;
    } else if (key == 'k') {
        job->keep_going = true;
    } else if (key == ARGP_KEY_ARG && job->path == NULL) {
        job->path = text;
    } else if (key == ARGP_KEY_ARG) {
        append(&job->goals, text);
    } else if (key == ARGP_KEY_NO_ARGS) {
        argp_error(state, "no file given");
    } else {
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_option options[] = {
    { "jobs", 'j', "JOBS", 0, "How many commands run at a time (default: one for each worker)", 0 },
    { "keep-going", 'k', NULL, 0, "After a failure, still run what does not depend on it", 0 },
    { 0 },
};

static const struct argp parser = {
    .options = options,
    .parser = parse_option,
    .args_doc = "FILE [TARGET...]",
    .doc = "Run the commands of the rules in FILE (-: standard input) that the TARGETs need, by default the first target; "
           "each rule when those that it depends on are done.\v"
           "A rule is a line 'target: dependencies', and lines that begin with a tab: its commands. After the first command that fails nothing "
           "more is started, unless -k is given. The exit status is 0 when all went well, 1 when not, 130 after SIGINT, 143 after SIGTERM.",
};

int main(int argc, char **argv)
{
    struct job job = { 0 };
    int status = EXIT_FAILURE;

    argp_program_version = cadre_version();
    argp_parse(&parser, argc, argv, 0, NULL, &job);
    if (job.at_once == 0)
        job.at_once = cadre_workers();
    if (job.at_once < 0)
        fprintf(stderr, "runner: cannot start the runtime: %s\n", cadre_strerror(job.at_once));
    else if (read_rules(&job) && choose_goals(&job))
        status = run(&job);
    free_rules(&job);
    return status;
}
