/* vector.h - what every instruction set shares: vectors of `real` as GCC's vector extension, so that + - * / and
 * comparisons are operators and a * b + c contracts to a fused multiply-add where the processor has one.
 *
 * Included by the headers beside it, which first define FNN_VECTOR_BYTES and afterwards supply what the extension
 * has no spelling for: v_max, v_min, v_sqrt, v_floor, v_load_n, v_store_n and v_stream. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef FNN_REAL_F64
#define real double
#define real_int int64_t
#define real_uint uint64_t
#define FNN_SUFFIX f64
#else
#define real float
#define real_int int32_t
#define real_uint uint32_t
#define FNN_SUFFIX f32
#endif

#define VL ((int)(FNN_VECTOR_BYTES / sizeof(real))) /* lanes */

typedef real vr __attribute__((vector_size(FNN_VECTOR_BYTES)));
typedef real vr_unaligned __attribute__((vector_size(FNN_VECTOR_BYTES), aligned(sizeof(real)), may_alias));
typedef real_int vi __attribute__((vector_size(FNN_VECTOR_BYTES))); /* comparison results: all ones or zero */
typedef real_uint vu __attribute__((vector_size(FNN_VECTOR_BYTES)));

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE vr v_load(const real *p) { return *(const vr_unaligned *)p; }
ALWAYS_INLINE void v_store(real *p, vr a) { *(vr_unaligned *)p = a; }
ALWAYS_INLINE vr v_splat(real a) { return a - (vr){0}; }
ALWAYS_INLINE vr v_zero(void) { return (vr){0}; }
ALWAYS_INLINE vr v_fma(vr a, vr b, vr c) { return a * b + c; } /* fused where the hardware can */
ALWAYS_INLINE vr v_select(vi mask, vr yes, vr no) { return (vr)((mask & (vi)yes) | (~mask & (vi)no)); }
ALWAYS_INLINE vr v_and(vi mask, vr a) { return (vr)(mask & (vi)a); }
ALWAYS_INLINE vr v_abs(vr a) { return (vr)((vu)a & (((vu){0} - 1) >> 1)); }
ALWAYS_INLINE vi v_to_int(vr a) { return __builtin_convertvector(a, vi); } /* truncates */
ALWAYS_INLINE vr v_from_int(vi a) { return __builtin_convertvector(a, vr); }

/* Sum of the lanes by halving: a fixed tree. */
ALWAYS_INLINE real v_sum(vr a)
{
    real lane[FNN_VECTOR_BYTES / sizeof(real)];
    v_store(lane, a);
#pragma GCC unroll 5
    for (int half = VL / 2; half > 0; half /= 2)
#pragma GCC unroll 16
        for (int i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
}

ALWAYS_INLINE real v_max_lane(vr a)
{
    real best = a[0];
#pragma GCC unroll 16
    for (int i = 1; i < VL; i++)
        best = a[i] > best ? a[i] : best;
    return best;
}
