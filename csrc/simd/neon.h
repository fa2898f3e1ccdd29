/* neon.h - aarch64: 16-byte vectors, fused multiply-add, 32 registers. */
#define FNN_ISA neon
#define FNN_VECTOR_BYTES 16
#include <arm_neon.h>
#include "vector.h"

#define GEMM_ROWS 6
#define GEMM_VECTORS 4
#define GEMM_TALL_ROWS 6 /* of a tile one vector wide */

/* Products of the low 32 bits of 64-bit lanes. */
ALWAYS_INLINE vu64 v_mul_low_words(vu64 a, vu64 b)
{
    return (vu64)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b));
}

#ifdef FNN_REAL_F64
ALWAYS_INLINE vr v_max(vr a, vr b) { return (vr)vmaxq_f64((float64x2_t)a, (float64x2_t)b); }
ALWAYS_INLINE vr v_min(vr a, vr b) { return (vr)vminq_f64((float64x2_t)a, (float64x2_t)b); }
ALWAYS_INLINE vr v_sqrt(vr a) { return (vr)vsqrtq_f64((float64x2_t)a); }
ALWAYS_INLINE vr v_floor(vr a) { return (vr)vrndmq_f64((float64x2_t)a); }
#else
ALWAYS_INLINE vr v_max(vr a, vr b) { return (vr)vmaxq_f32((float32x4_t)a, (float32x4_t)b); }
ALWAYS_INLINE vr v_min(vr a, vr b) { return (vr)vminq_f32((float32x4_t)a, (float32x4_t)b); }
ALWAYS_INLINE vr v_sqrt(vr a) { return (vr)vsqrtq_f32((float32x4_t)a); }
ALWAYS_INLINE vr v_floor(vr a) { return (vr)vrndmq_f32((float32x4_t)a); }
#endif

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

ALWAYS_INLINE void v_stream(real *p, vr a) { *(vr *)p = a; }
