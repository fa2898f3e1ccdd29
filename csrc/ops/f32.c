/* The drivers for float32. */
#include "all.inc.h"
