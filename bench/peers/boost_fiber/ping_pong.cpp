/* SPDX-License-Identifier: MIT
 *
 * ping_pong: a number goes back and forth between two tasks over two rendezvous channels, per round trip.
 */
#include "boost_fiber.h"

static void run(const void *arg)
{
    const long rounds = *static_cast<const long *>(arg);
    boost::fibers::unbuffered_channel<long> ping, pong;
    boost::fibers::fiber serve([&, rounds] {
        for (long i = 0; i < rounds; i++) {
            ping.push(i);
            bench_require(pong.value_pop() == i + 1, "what came back");
        }
    });
    boost::fibers::fiber answer([&, rounds] {
        for (long i = 0; i < rounds; i++)
            pong.push(ping.value_pop() + 1);
    });

    serve.join();
    answer.join();
}

int main()
{
    const long rounds = bench_pick(500000, 50000);

    return boost_serve("ns/round trip", static_cast<double>(rounds), run, &rounds);
}
