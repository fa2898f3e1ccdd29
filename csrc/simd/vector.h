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
typedef uint64_t vu64 __attribute__((vector_size(FNN_VECTOR_BYTES)));

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Hides how a pointer or an index came about, so that the compiler keeps it in a register of its own instead of
 * deriving every address from a common base. */
#define OPAQUE(x) __asm__("" : "+r"(x))

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

/* Lane i of the result is lane i ^ distance of a. */
ALWAYS_INLINE vr v_swap(vr a, const int distance)
{
    vi from;
#pragma GCC unroll 16
    for (int i = 0; i < VL; i++)
        from[i] = i ^ distance;
    return __builtin_shuffle(a, from);
}

/* Sum of the lanes by halving: a fixed tree. */
ALWAYS_INLINE real v_sum(vr a)
{
    if (VL >= 16)
        a += v_swap(a, 8 % VL);
    if (VL >= 8)
        a += v_swap(a, 4 % VL);
    if (VL >= 4)
        a += v_swap(a, 2 % VL);
    a += v_swap(a, 1);
    return a[0];
}
