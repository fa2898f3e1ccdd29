/* avx512_bf16.h - pairs of bfloat16 in the 32-bit lanes of avx512.h's vectors. */
#include "avx512.h"

/* Lane i of the result holds bfloat16 2i and 2i + 1 of `low` followed by `high`, rounded to nearest even. */
ALWAYS_INLINE vu b_round(vr low, vr high) { return (vu)_mm512_cvtne2ps_pbh(high, low); }

/* Lane i of the result holds lane i of `even` in its lower half and lane i of `odd` in its upper one. */
ALWAYS_INLINE vu b_pair(vr even, vr odd)
{
    typedef uint16_t halves __attribute__((vector_size(64)));
    halves order;
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
        order[2 * i] = (uint16_t)i;
        order[2 * i + 1] = (uint16_t)(i + 16);
    }
    return (vu)__builtin_shuffle((halves)b_round(even, odd), order);
}

/* sum + the products of both halves of every lane */
ALWAYS_INLINE vr b_dot(vr sum, vu a, vu b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }
