/* amx_bf16.h - tile registers beside avx512_bf16.h's vectors: eight of 16 rows of 64 bytes. */
#include "avx512_bf16.h"

#define FNN_HAVE_TILES

/* Shapes for products of inner size `depth` <= 32: tiles 0-3 are sums, 4-5 rows of A, 6-7 paired rows of B. */
ALWAYS_INLINE void t_configure(int64_t depth)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } shape = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shape.row_bytes[i] = (uint16_t)(i == 4 || i == 5 ? 2 * depth : 64);
        shape.rows[i] = (uint8_t)(i >= 6 ? depth / 2 : 16);
    }
    __asm__ volatile("" : : "m"(shape)); /* GCC's intrinsic names the first bytes only as read */
    _tile_loadconfig(&shape);
}

#define t_release() _tile_release()
#define t_zero(tile) _tile_zero(tile)
#define t_load(tile, from, step) _tile_loadd(tile, from, (size_t)(step))
#define t_store(tile, to, step) _tile_stored(tile, to, (size_t)(step))
#define t_dot(sum, a, b) _tile_dpbf16ps(sum, a, b)
