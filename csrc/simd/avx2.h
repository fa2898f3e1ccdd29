/* avx2.h - x86-64-v3: 32-byte vectors, fused multiply-add, 16 registers. */
#define FNN_ISA avx2
#define FNN_VECTOR_BYTES 32
#include <immintrin.h>
#include "vector.h"

#define GEMM_ROWS 6
#define GEMM_VECTORS 2
#define GEMM_TALL_ROWS 6 /* of a tile one vector wide */

/* Products of the low 32 bits of 64-bit lanes. */
ALWAYS_INLINE vu64 v_mul_low_words(vu64 a, vu64 b) { return (vu64)_mm256_mul_epu32((__m256i)a, (__m256i)b); }

ALWAYS_INLINE vi v_first(int64_t n)
{
#ifdef FNN_REAL_F64
    return (vi){0, 1, 2, 3} < (real_int)n;
#else
    return (vi){0, 1, 2, 3, 4, 5, 6, 7} < (real_int)n;
#endif
}

#ifdef FNN_REAL_F64
ALWAYS_INLINE vr v_max(vr a, vr b) { return _mm256_max_pd(a, b); }
ALWAYS_INLINE vr v_min(vr a, vr b) { return _mm256_min_pd(a, b); }
ALWAYS_INLINE vr v_sqrt(vr a) { return _mm256_sqrt_pd(a); }
ALWAYS_INLINE vr v_floor(vr a) { return _mm256_floor_pd(a); }
ALWAYS_INLINE vr v_load_n(const real *p, int64_t n) { return _mm256_maskload_pd(p, (__m256i)v_first(n)); }
ALWAYS_INLINE void v_store_n(real *p, vr a, int64_t n) { _mm256_maskstore_pd(p, (__m256i)v_first(n), a); }
ALWAYS_INLINE void v_stream(real *p, vr a) { _mm256_stream_pd(p, a); }
#else
ALWAYS_INLINE vr v_max(vr a, vr b) { return _mm256_max_ps(a, b); }
ALWAYS_INLINE vr v_min(vr a, vr b) { return _mm256_min_ps(a, b); }
ALWAYS_INLINE vr v_sqrt(vr a) { return _mm256_sqrt_ps(a); }
ALWAYS_INLINE vr v_floor(vr a) { return _mm256_floor_ps(a); }
ALWAYS_INLINE vr v_load_n(const real *p, int64_t n) { return _mm256_maskload_ps(p, (__m256i)v_first(n)); }
ALWAYS_INLINE void v_store_n(real *p, vr a, int64_t n) { _mm256_maskstore_ps(p, (__m256i)v_first(n), a); }
ALWAYS_INLINE void v_stream(real *p, vr a) { _mm256_stream_ps(p, a); }
#endif
