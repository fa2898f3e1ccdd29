/* avx512.h - x86-64-v4: 64-byte vectors, lane masks, 32 registers. */
#define FNN_ISA avx512
#define FNN_VECTOR_BYTES 64
#include <immintrin.h>
#include "vector.h"

#define GEMM_ROWS 12
#define GEMM_VECTORS 2
#define GEMM_TALL_ROWS 16 /* of a tile one vector wide */

/* Products of the low 32 bits of 64-bit lanes. */
ALWAYS_INLINE vu64 v_mul_low_words(vu64 a, vu64 b) { return (vu64)_mm512_mul_epu32((__m512i)a, (__m512i)b); }

/* Divisions of 64-byte vectors are slow; Newton's iteration from a 14-bit estimate is not. */
#define FNN_HAVE_LDEXP
#define FNN_HAVE_RECIPROCAL
#ifdef FNN_REAL_F64
ALWAYS_INLINE vr v_ldexp(vr a, vr n) { return _mm512_scalef_pd(a, n); }
ALWAYS_INLINE vr v_reciprocal(vr a)
{
    vr r = _mm512_rcp14_pd(a);
    r = v_fma(r, 1 - a * r, r);
    return v_fma(r, 1 - a * r, r);
}
#else
ALWAYS_INLINE vr v_reciprocal(vr a)
{
    vr r = _mm512_rcp14_ps(a);
    return v_fma(r, 1 - a * r, r);
}
ALWAYS_INLINE vr v_ldexp(vr a, vr n) { return _mm512_scalef_ps(a, n); }
#endif

#ifdef FNN_REAL_F64
#define V_FIRST(n) ((__mmask8)((1u << (n)) - 1u))
ALWAYS_INLINE vr v_max(vr a, vr b) { return _mm512_max_pd(a, b); }
ALWAYS_INLINE vr v_min(vr a, vr b) { return _mm512_min_pd(a, b); }
ALWAYS_INLINE vr v_sqrt(vr a) { return _mm512_sqrt_pd(a); }
ALWAYS_INLINE vr v_floor(vr a) { return _mm512_roundscale_pd(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
ALWAYS_INLINE vr v_load_n(const real *p, int64_t n) { return _mm512_maskz_loadu_pd(V_FIRST(n), p); }
ALWAYS_INLINE void v_store_n(real *p, vr a, int64_t n) { _mm512_mask_storeu_pd(p, V_FIRST(n), a); }
ALWAYS_INLINE void v_stream(real *p, vr a) { _mm512_stream_pd(p, a); }
#else
#define V_FIRST(n) ((__mmask16)((1u << (n)) - 1u))
ALWAYS_INLINE vr v_max(vr a, vr b) { return _mm512_max_ps(a, b); }
ALWAYS_INLINE vr v_min(vr a, vr b) { return _mm512_min_ps(a, b); }
ALWAYS_INLINE vr v_sqrt(vr a) { return _mm512_sqrt_ps(a); }
ALWAYS_INLINE vr v_floor(vr a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
ALWAYS_INLINE vr v_load_n(const real *p, int64_t n) { return _mm512_maskz_loadu_ps(V_FIRST(n), p); }
ALWAYS_INLINE void v_store_n(real *p, vr a, int64_t n) { _mm512_mask_storeu_ps(p, V_FIRST(n), a); }
ALWAYS_INLINE void v_stream(real *p, vr a) { _mm512_stream_ps(p, a); }
#endif
