/* SPDX-License-Identifier: MIT
 * schedgroup: reads reminders from a file, each a number of seconds and a text, and prints every text when its time has come.
 *
 * Each reminder is a delayed start in one group: a record in one heap, not a timer and not a sleeping task. With a limit of
 * one they are printed in the order of their times, and those of the same time in the order of the file. When time runs out
 * (-t), what is not yet due is dropped at once. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cadre.h"

static int remind(struct cadre_ctx *ctx, void *text)
{
    (void)ctx;
    puts(text);
    free(text);
    return fflush(stdout) == 0 ? 0 : -errno;
}

static void drop(void *text)
{
    fprintf(stderr, "schedgroup: missed: %s\n", (char *)text);
    free(text);
}

/* Schedule each line of the file. Returns 0 or a negative errno value; *number is that of the last line. */
static int schedule(struct cadre_group *g, FILE *file, unsigned *number)
{
    cadre_time begin = cadre_now(); /* one beginning for all: how long reading takes does not matter */
    char *line = NULL, *text;
    size_t room = 0;
    int status = 0;

    while (status == 0 && getline(&line, &room, file) > 0) {
        double seconds = strtod(line, &text);

        ++*number;
        if (text == line || !(seconds > -1e6 && seconds < 1e6))
            status = -EINVAL;
        else if ((text = strdup(text + strspn(text, " \t"))) == NULL)
            status = -ENOMEM;
        else {
            text[strcspn(text, "\n")] = '\0';
            cadre_go_at(g, begin + (cadre_time)(seconds * 1e9), remind, text, NULL);
        }
    }
    free(line);
    return status == 0 && ferror(file) ? -errno : status;
}

struct arguments {
    double seconds;
    char *name;
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    char *end;

    if (key == 't') {
        arguments->seconds = strtod(text, &end);
        if (end == text || *end != '\0' || !(arguments->seconds > 0 && arguments->seconds < 1e6))
            argp_error(state, "%s: not a number of seconds", text);
    } else if (key == ARGP_KEY_ARG && arguments->name == NULL) {
        arguments->name = text;
    } else if (key == ARGP_KEY_NO_ARGS) {
        argp_error(state, "no file given");
    } else {
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_option options[] = {
    { "timeout", 't', "SECONDS", 0, "End then, whatever is still to come", 0 },
    { 0 },
};

static const struct argp parser = {
    .options = options,
    .parser = parse_option,
    .args_doc = "FILE",
    .doc = "Print the reminders in FILE when they are due. Its lines are like: 2.5 The tea is ready",
};

int main(int argc, char **argv)
{
    struct arguments arguments = { 0 };
    struct cadre_ctx evening = { 0 };
    struct cadre_group g = { .parent = &evening, .limit = 1, .drop = drop };
    unsigned line = 0;
    FILE *file;
    int status;

    argp_parse(&parser, argc, argv, 0, NULL, &arguments);
    if (arguments.seconds > 0)
        evening.deadline = cadre_in((cadre_time)(arguments.seconds * 1e9));
    file = fopen(arguments.name, "re");
    if (file == NULL) {
        fprintf(stderr, "schedgroup: %s: %s\n", arguments.name, cadre_strerror(-errno));
        return EXIT_FAILURE;
    }
    status = schedule(&g, file, &line);
    fclose(file);
    if (status != 0) {
        fprintf(stderr, "schedgroup: %s:%u: %s\n", arguments.name, line, cadre_strerror(status));
        cadre_group_cancel(&g, 0, NULL);
    }
    if (cadre_wait(&g) != 0)
        fprintf(stderr, "schedgroup: %s\n", cadre_group_error(&g).message);
    return status == 0 && cadre_group_error(&g).code == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
