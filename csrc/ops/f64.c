/* The drivers for float64. */
#define FNN_REAL_F64
#include "all.inc.h"
