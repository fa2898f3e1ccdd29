/* The bfloat16 kernels with AMX's tile registers; built with the flags that setup.py gives this unit. */
#define FNN_BF16_UNIT amx
#ifdef __AMX_BF16__
#include "../simd/amx_bf16.h"
#include "../kernels/gemm_bf16.inc.h"
#else /* the compiler does not know the instructions: an empty table, which is never chosen */
#include "../bf16.h"
const fnn_bf16_kernels fnn_bf16_kernels_amx;
#endif
