/* The portable kernels for float32; built with the flags that setup.py gives this instruction set. */
#include "../simd/portable.h"
#include "../kernels/all.inc.h"
