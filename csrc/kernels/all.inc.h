/* all.inc.h - every kernel family, compiled for one instruction set and one real type, and the table of them.
 * A unit in isa/ includes it once, after a header of simd/. */
#define FNN_JOIN4_(a, b, c) fnn_##a##_##b##_##c
#define FNN_JOIN4(a, b, c) FNN_JOIN4_(a, b, c)
#define KERNEL(name) FNN_JOIN4(name, FNN_SUFFIX, FNN_ISA) /* e.g. fnn_pool_max_fwd_f32_avx2: perf shows the level */

#include "../shapes.h"
#include "../simd/math.h"

#include "gemm.inc.h"
#include "epilogue.inc.h"
#include "conv.inc.h"
#include "winograd.inc.h"
#include "pool.inc.h"
#include "norm.inc.h"
#include "norm_pool.inc.h"
#include "activation.inc.h"
#include "loss.inc.h"
#include "elementwise.inc.h"
#include "reduce.inc.h"
#include "dropout.inc.h"
#include "optim.inc.h"
#include "optim_adam.inc.h"
#include "optim_pass.inc.h"
#include "augment.inc.h"
#include "augment_affine.inc.h"
#include "augment_color.inc.h"
#include "augment_filter.inc.h"

/* `real` is a macro of this unit; the table's type spells it out for both. */
#undef real
#include "../kernels.h"
#ifdef FNN_REAL_F64
#define real double
#else
#define real float
#endif

#define FNN_TABLE_NAME_(suffix, isa) fnn_kernels_##suffix##_##isa
#define FNN_TABLE_NAME(suffix, isa) FNN_TABLE_NAME_(suffix, isa)
#define FNN_TABLE_TYPE_(suffix) fnn_kernels_##suffix
#define FNN_TABLE_TYPE(suffix) FNN_TABLE_TYPE_(suffix)

const FNN_TABLE_TYPE(FNN_SUFFIX) FNN_TABLE_NAME(FNN_SUFFIX, FNN_ISA) = {
    .lanes = VL,
    .gemm_tile_rows = GEMM_ROWS,
    .gemm_tile_vectors = GEMM_VECTORS,
    .gemm_tall_rows = GEMM_TALL_ROWS,
#define FNN_KERNEL(name, params) .name = KERNEL(name),
#include "../kernels.def"
#undef FNN_KERNEL
};
