/* The bfloat16 kernels with AMX's tile registers; built with the flags that setup.py gives this unit. */
#define FNN_BF16_UNIT amx
#include "../simd/amx_bf16.h"
#include "../kernels/gemm_bf16.inc.h"
