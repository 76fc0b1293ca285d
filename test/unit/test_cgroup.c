/* SPDX-License-Identifier: MIT
 * The CPU quota of control groups, read from a made-up /sys/fs/cgroup in a temporary folder. */
#define _GNU_SOURCE 1
#include "test.h"

#include "platform/cpu.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ODD_ERRNO 4242

static int make_root(void **state)
{
    const char *tmp = getenv("TMPDIR");
    char *root = malloc(4096);

    if (root == NULL)
        return -1;
    snprintf(root, 4096, "%s/cadre-XXXXXX", tmp != NULL ? tmp : "/tmp");
    *state = root;
    return mkdtemp(root) != NULL ? 0 : -1;
}

static int remove_root(void **state)
{
    char command[4200];

    snprintf(command, sizeof command, "rm -r '%s'", (char *)*state);
    free(*state);
    return system(command);
}

/* Write ROOT/PATH, making the folders that PATH names. */
static void put(const char *root, const char *path, const char *text)
{
    char full[8192];
    FILE *file;

    snprintf(full, sizeof full, "%s/%s", root, path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
        *slash = '\0';
        mkdir(full, 0700);
    }
    file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void no_group_means_no_quota(void **state)
{
    assert_int_equal(cdr_cgroup_quota(*state, ""), 0);
    assert_int_equal(cdr_cgroup_quota(*state, "0::/nowhere\n"), 0);
    assert_int_equal(cdr_cgroup_quota("/does/not/exist", "0::/\n1:cpu:/\n"), 0);
}

static void text_that_is_no_group_sets_no_quota(void **state)
{
    put(*state, "cpu.max", "100000 100000\n");
    assert_int_equal(cdr_cgroup_quota(*state, "nonsense\n:\n\n0:\n"), 0);
}

static void version_2_max_is_no_quota(void **state)
{
    put(*state, "a/cpu.max", "max 100000\n");
    assert_int_equal(cdr_cgroup_quota(*state, "0::/a\n"), 0);
}

static void version_2_quota_is_rounded_up(void **state)
{
    put(*state, "a/cpu.max", "150000 100000\n");
    assert_int_equal(cdr_cgroup_quota(*state, "0::/a\n"), 2);
    put(*state, "a/cpu.max", "200000 100000\n");
    assert_int_equal(cdr_cgroup_quota(*state, "0::/a\n"), 2);
    put(*state, "a/cpu.max", "1000 100000\n");
    assert_int_equal(cdr_cgroup_quota(*state, "0::/a\n"), 1);
}

static void version_2_takes_the_least_on_the_way_up(void **state)
{
    put(*state, "a/b/c/cpu.max", "800000 100000\n");
    put(*state, "a/b/cpu.max", "max 100000\n");
    put(*state, "a/cpu.max", "300000 100000\n");
    assert_int_equal(cdr_cgroup_quota(*state, "0::/a/b/c\n"), 3);
    put(*state, "a/b/c/cpu.max", "200000 100000\n");
    assert_int_equal(cdr_cgroup_quota(*state, "0::/a/b/c\n"), 2);
}

static void version_2_looks_at_the_top_as_a_container_sees_it(void **state)
{
    put(*state, "cpu.max", "400000 100000\n");
    assert_int_equal(cdr_cgroup_quota(*state, "0::/\n"), 4);
    assert_int_equal(cdr_cgroup_quota(*state, "0::/docker/not/here\n"), 4);
}

static void nothing_above_the_root_is_read(void **state)
{
    char inner[4200];

    put(*state, "cpu.max", "100000 100000\n");
    put(*state, "inner/cpu.max", "400000 100000\n");
    snprintf(inner, sizeof inner, "%s/inner", (char *)*state);
    assert_int_equal(cdr_cgroup_quota(inner, "0::/..\n"), 4);
}

static void version_2_garbage_is_no_quota(void **state)
{
    static const char *const garbage[] = { "", "x", "100000", "0 100000", "100000 0", "-5 100000", "100000 -1" };

    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        put(*state, "a/cpu.max", garbage[i]);
        assert_int_equal(cdr_cgroup_quota(*state, "0::/a\n"), 0);
    }
}

static void a_huge_quota_does_not_overflow(void **state)
{
    put(*state, "a/cpu.max", "9223372036854775807 1\n");
    assert_int_equal(cdr_cgroup_quota(*state, "0::/a\n"), 0);
}

static void version_1_quota_is_read(void **state)
{
    put(*state, "cpu/job/cpu.cfs_quota_us", "250000\n");
    put(*state, "cpu/job/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cdr_cgroup_quota(*state, "5:cpuset:/x\n4:memory:/job\n3:cpu:/job\n0::/\n"), 3);
}

static void other_controllers_of_version_1_set_no_quota(void **state)
{
    put(*state, "cpu/job/cpu.cfs_quota_us", "250000\n");
    put(*state, "cpu/job/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cdr_cgroup_quota(*state, "3:cpuset:/job\n2:cpuacct:/job\n1:name=cpu:/job\n"), 0);
}

static void version_1_is_found_under_all_names_of_its_mount(void **state)
{
    put(*state, "cpu,cpuacct/job/cpu.cfs_quota_us", "100000\n");
    put(*state, "cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cdr_cgroup_quota(*state, "3:cpu,cpuacct:/job\n"), 1);
    assert_int_equal(cdr_cgroup_quota(*state, "3:cpuacct,cpuset:/job\n"), 0);
}

static void version_1_minus_one_is_no_quota(void **state)
{
    put(*state, "cpu/job/cpu.cfs_quota_us", "-1\n");
    put(*state, "cpu/job/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cdr_cgroup_quota(*state, "3:cpuacct,cpu:/job\n"), 0);
}

static void reading_the_quota_keeps_errno(void **state)
{
    errno = ODD_ERRNO;
    cdr_cgroup_quota(*state, "0::/a/b\n1:cpu:/c\n");
    assert_int_equal(errno, ODD_ERRNO);
}

int main(void)
{
#define WITH_ROOT(f) cmocka_unit_test_setup_teardown(f, make_root, remove_root)
    const struct CMUnitTest tests[] = {
        WITH_ROOT(no_group_means_no_quota),
        WITH_ROOT(text_that_is_no_group_sets_no_quota),
        WITH_ROOT(version_2_max_is_no_quota),
        WITH_ROOT(version_2_quota_is_rounded_up),
        WITH_ROOT(version_2_takes_the_least_on_the_way_up),
        WITH_ROOT(version_2_looks_at_the_top_as_a_container_sees_it),
        WITH_ROOT(nothing_above_the_root_is_read),
        WITH_ROOT(version_2_garbage_is_no_quota),
        WITH_ROOT(a_huge_quota_does_not_overflow),
        WITH_ROOT(version_1_quota_is_read),
        WITH_ROOT(other_controllers_of_version_1_set_no_quota),
        WITH_ROOT(version_1_is_found_under_all_names_of_its_mount),
        WITH_ROOT(version_1_minus_one_is_no_quota),
        WITH_ROOT(reading_the_quota_keeps_errno),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
