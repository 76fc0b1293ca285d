/* SPDX-License-Identifier: MIT
 *
 * OpenMP tasks, for gcc's libgomp and LLVM's runtime alike: OMP_NUM_THREADS says how many threads.
 */
#include "../../bench.h"

#ifdef __clang__
#define TEXT(x) #x
#define DOTTED(a, b, c) TEXT(a) "." TEXT(b) "." TEXT(c)
#define OPENMP_VERSION DOTTED(__clang_major__, __clang_minor__, __clang_patchlevel__)
#else
#define OPENMP_VERSION __VERSION__
#endif
