/* SPDX-License-Identifier: MIT
 * The ring of error texts, and the texts of codes. Errors are rare enough for one lock. */
#define _GNU_SOURCE /* strerrordesc_np */
#include <string.h>

#include "platform/os.h"
#include "sync/record.h"

static struct {
    struct cdr_lock lock;
    uint64_t last;
    struct {
        uint64_t number;
        struct cadre_error error;
    } ring[CDR_RECORDS]; /* untouched until used, so it costs nothing */
} records;

static void hold(void) { cdr_lock(&records.lock); }
static void let_go(void) { cdr_unlock(&records.lock); }
static __attribute__((constructor)) void survive_fork(void) { cdr_at_fork(hold, let_go, let_go); }

uint64_t cdr_record_put(const struct cadre_error *error)
{
    uint64_t number;

    cdr_lock(&records.lock);
    number = ++records.last;
    records.ring[number % CDR_RECORDS].number = number;
    records.ring[number % CDR_RECORDS].error = *error;
    cdr_unlock(&records.lock);
    return number;
}

int cdr_record_get(uint64_t number, struct cadre_error *error)
{
    int found = 0;

    if (number == 0)
        return 0;
    cdr_lock(&records.lock);
    if (records.ring[number % CDR_RECORDS].number == number) {
        *error = records.ring[number % CDR_RECORDS].error;
        found = 1;
    }
    cdr_unlock(&records.lock);
    return found;
}

void cdr_copy_text(char *to, size_t size, const char *text)
{
    size_t length = text != NULL ? strnlen(text, size - 1) : 0;

    if (length > 0)
        memcpy(to, text, length);
    to[length] = 0;
}

const char *cadre_strerror(int code)
{
    const char *text;

    if (code == 0)
        return "Success";
    if (code > 0)
        return "Error code of the application";
    text = code > -4096 ? strerrordesc_np(-code) : NULL;
    return text != NULL ? text : "Unknown error";
}

const char *cdr_error_text(int code, enum cadre_origin origin)
{
    return code == -ETIMEDOUT && origin == CADRE_FROM_DEADLINE ? "The deadline passed" : cadre_strerror(code);
}
