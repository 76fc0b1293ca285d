/* SPDX-License-Identifier: MIT
 *
 * Boost.Fiber, which runs all fibers on the thread that made them unless it is told otherwise; so this one thread it is.
 */
#include <boost/fiber/all.hpp>
#include <boost/version.hpp>
#include <string>

#include "../../bench.h"

/* "1.74.0" */
static inline std::string boost_version()
{
    return std::to_string(BOOST_VERSION / 100000) + "." + std::to_string(BOOST_VERSION / 100 % 1000) + "."
        + std::to_string(BOOST_VERSION % 100);
}

static inline int boost_serve(const char *unit, double units, void (*run)(const void *), const void *arg)
{
    return bench_serve(boost_version().c_str(), unit, units, run, arg);
}
