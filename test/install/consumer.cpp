/* SPDX-License-Identifier: MIT
 * A program from outside, in C++17: the header's structs, macros and calls from C++. */
#include <cadre.h>

#include <cstdio>
#include <string>

static int append(cadre_ctx *ctx, void *arg)
{
    auto *text = static_cast<std::string *>(arg);

    if (cadre_sleep(ctx, CADRE_MS(1)) != 0)
        return cadre_fail(ctx, -ECANCELED, "cannot append to %s", text->c_str());
    text->append("+");
    return 0;
}

int main()
{
    std::string words[] = { "one", "two" };
    cadre_group group{};
    int slot[1], value = 5, got = 0;
    cadre_chan channel{};

    group.flags = CADRE_CANCEL_ON_ERROR;
    for (auto &word : words)
        cadre_go(&group, append, &word);
    if (cadre_wait(&group) != 0 || words[0] != "one+" || words[1] != "two+")
        return 1;
    channel.size = sizeof slot[0];
    channel.capacity = 1;
    channel.slots = slot;
    if (cadre_send(nullptr, &channel, &value) != 0 || cadre_recv(nullptr, &channel, &got) != 0 || got != 5)
        return 1;
    cadre_chan_finish(&channel);
    errno = 0;
    std::printf("%s: %s\n", cadre_version(), words[1].c_str());
    return errno;
}
