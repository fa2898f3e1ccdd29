/* all.inc.h - every driver, compiled for one real type. Drivers cut work into tasks, lay out workspace and call the
 * kernels of the level in use; they are compiled for the baseline instruction set. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "../kernels.h"
#include "../parallel.h"

#ifdef FNN_REAL_F64
#define real double
#define DRIVER(name) fnn_##name##_f64
#define K fnn_active_f64
#else
#define real float
#define DRIVER(name) fnn_##name##_f32
#define K fnn_active_f32
#endif

static inline int64_t min_int(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max_int(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t round_up(int64_t a, int64_t multiple) { return ceil_div(a, multiple) * multiple; }

#include "moments.inc.h"
#include "epilogue.inc.h"
#include "linear.inc.h"
#include "linear_bf16.inc.h"
#include "conv.inc.h"
#include "pool.inc.h"
#include "activation.inc.h"
#include "norm.inc.h"
#include "loss.inc.h"
#include "copy.inc.h"
#include "elementwise.inc.h"
#include "reduce.inc.h"
#include "dropout.inc.h"
#include "optim.inc.h"
#include "optim_adam.inc.h"
#include "augment.inc.h"
#include "augment_affine.inc.h"
#include "augment_color.inc.h"
#include "augment_filter.inc.h"
#include "augment_noise.inc.h"
#include "program.inc.h"
