/* SPDX-License-Identifier: MIT
 *
 * channel_1to1 and channel_4to4: a million numbers through a channel of 64 slots, from one or four senders to as many
 * receivers, per item. The question is the program's argument.
 */
#include <string.h>
#include <vector>

#include "boost_fiber.h"

#define SLOTS 64

static long items;

static void run(const void *arg)
{
    const int width = *static_cast<const int *>(arg);
    boost::fibers::buffered_channel<long> chan(SLOTS);
    std::vector<boost::fibers::fiber> senders, receivers;
    std::vector<long> sums(static_cast<size_t>(width));
    long total = 0;

    for (int k = 0; k < width; k++) {
        senders.emplace_back([&chan, width, k] {
            for (long i = items / width * k; i < items / width * (k + 1); i++)
                chan.push(i);
        });
        receivers.emplace_back([&chan, &sums, k] {
            long sum = 0;

            for (long item : chan)
                sum += item;
            sums[static_cast<size_t>(k)] = sum;
        });
    }
    for (auto &sender : senders)
        sender.join();
    chan.close();
    for (auto &receiver : receivers)
        receiver.join();
    for (long sum : sums)
        total += sum;
    bench_require(total == items * (items - 1) / 2, "the sum of the items");
}

int main(int argc, char **argv)
{
    const int width = argc > 1 && strcmp(argv[1], "channel_4to4") == 0 ? 4 : 1;

    items = bench_pick(1000000, 100000);
    return boost_serve("ns/item", static_cast<double>(items), run, &width);
}
