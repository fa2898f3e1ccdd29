/* portable.h - 16-byte vectors that any compiler target has (SSE2 on x86-64, NEON on aarch64, scalars elsewhere). */
#define FNN_ISA portable
#define FNN_VECTOR_BYTES 16
#include "vector.h"

/* Sixteen registers: 12 accumulators. */
#define GEMM_ROWS 6
#define GEMM_VECTORS 2
#define GEMM_TALL_ROWS 6 /* of a tile one vector wide */

/* Products of the low 32 bits of 64-bit lanes. */
ALWAYS_INLINE vu64 v_mul_low_words(vu64 a, vu64 b) { return (a & 0xffffffffu) * (b & 0xffffffffu); }

ALWAYS_INLINE vr v_max(vr a, vr b) { return v_select(a > b, a, b); }
ALWAYS_INLINE vr v_min(vr a, vr b) { return v_select(a < b, a, b); }

ALWAYS_INLINE vr v_sqrt(vr a)
{
    for (int i = 0; i < VL; i++)
        a[i] = sizeof(real) == 4 ? (real)sqrtf((float)a[i]) : (real)sqrt((double)a[i]);
    return a;
}

ALWAYS_INLINE vr v_floor(vr a)
{
    for (int i = 0; i < VL; i++)
        a[i] = sizeof(real) == 4 ? (real)floorf((float)a[i]) : (real)floor((double)a[i]);
    return a;
}

/* The first n lanes (0 <= n <= VL); the others are zero, or not written. */
ALWAYS_INLINE vr v_load_n(const real *p, int64_t n)
{
    vr a = {0};
    for (int i = 0; i < VL; i++)
        if (i < n)
            a[i] = p[i];
    return a;
}

ALWAYS_INLINE void v_store_n(real *p, vr a, int64_t n)
{
    for (int i = 0; i < VL; i++)
        if (i < n)
            p[i] = a[i];
}

/* A store past the cache; p is aligned to a vector. */
ALWAYS_INLINE void v_stream(real *p, vr a) { *(vr *)p = a; }
