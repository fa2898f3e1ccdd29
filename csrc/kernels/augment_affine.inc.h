/* augment_affine.inc.h - a row of an image seen through an affine map.
 *
 * Coordinates are fixed-point numbers with FNN_AFFINE_BITS bits of fraction, so that steps along a row add up exactly.
 * Weights have AFFINE_WEIGHT_BITS bits and products of two of them sum to a power of two: results are the rounded
 * sums, the same on every instruction set. */

#define AFFINE_WEIGHT_BITS 11
#define AFFINE_ONE (1 << AFFINE_WEIGHT_BITS)

typedef int32_t augment_four __attribute__((vector_size(16)));
typedef uint8_t augment_four_bytes __attribute__((vector_size(4)));

ALWAYS_INLINE augment_four augment_load_four(const uint8_t *x)
{
    augment_four_bytes bytes;
    memcpy(&bytes, x, sizeof bytes);
    return __builtin_convertvector(bytes, augment_four);
}

/* to = the mean of four pixels with weights (AFFINE_ONE - fx | fx) times (AFFINE_ONE - fy | fy). With `wide`, four
 * bytes of each may be read. */
ALWAYS_INLINE void augment_mix_four(const int wide, int64_t pixel, const uint8_t *const corner[4], int32_t fx,
                                    int32_t fy, uint8_t *to)
{
    int32_t gx = AFFINE_ONE - fx, gy = AFFINE_ONE - fy, half = 1 << (2 * AFFINE_WEIGHT_BITS - 1);
    if (wide) {
        augment_four sum = augment_load_four(corner[0]) * (gx * gy) + augment_load_four(corner[1]) * (fx * gy) +
                           augment_load_four(corner[2]) * (gx * fy) + augment_load_four(corner[3]) * (fx * fy);
        augment_four_bytes bytes =
            __builtin_convertvector((sum + half) >> (2 * AFFINE_WEIGHT_BITS), augment_four_bytes);
        memcpy(to, &bytes, (size_t)pixel);
        return;
    }
    for (int64_t b = 0; b < pixel; b++) {
        int32_t sum =
            corner[0][b] * (gx * gy) + corner[1][b] * (fx * gy) + corner[2][b] * (gx * fy) + corner[3][b] * (fx * fy);
        to[b] = (uint8_t)((sum + half) >> (2 * AFFINE_WEIGHT_BITS));
    }
}

ALWAYS_INLINE int64_t augment_clamp(int64_t i, int64_t size) { return i < 0 ? 0 : i < size ? i : size - 1; }

ALWAYS_INLINE void augment_bilinear_by(const int64_t pixel, const fnn_affine_row *r, const uint8_t *image,
                                       const uint8_t *fill, uint8_t *y)
{
    const int wide = pixel == 3 || pixel == 4;
    uint64_t at_x = (uint64_t)r->x, at_y = (uint64_t)r->y;
    int64_t step = r->w * pixel;
    for (int64_t j = 0; j < r->out_w; j++, at_x += (uint64_t)r->dx, at_y += (uint64_t)r->dy, y += pixel) {
        if (at_x >> FNN_AFFINE_BITS >= (uint64_t)r->w || at_y >> FNN_AFFINE_BITS >= (uint64_t)r->h) {
            memcpy(y, fill, (size_t)pixel);
            continue;
        }
        int64_t half = (int64_t)1 << (FNN_AFFINE_BITS - 1), sx = (int64_t)at_x - half, sy = (int64_t)at_y - half;
        int64_t i = sx >> FNN_AFFINE_BITS, k = sy >> FNN_AFFINE_BITS;
        int32_t fx = (int32_t)(sx >> (FNN_AFFINE_BITS - AFFINE_WEIGHT_BITS)) & (AFFINE_ONE - 1);
        int32_t fy = (int32_t)(sy >> (FNN_AFFINE_BITS - AFFINE_WEIGHT_BITS)) & (AFFINE_ONE - 1);
        if (i >= 0 && i < r->w - 1 && k >= 0 && k < r->h - 2) { /* the byte behind the last corner is in the image */
            const uint8_t *from = image + k * step + i * pixel;
            const uint8_t *corner[4] = {from, from + pixel, from + step, from + step + pixel};
            augment_mix_four(wide, pixel, corner, fx, fy, y);
        } else {
            const uint8_t *above = image + augment_clamp(k, r->h) * step,
                          *below = image + augment_clamp(k + 1, r->h) * step;
            int64_t left = augment_clamp(i, r->w) * pixel, right = augment_clamp(i + 1, r->w) * pixel;
            const uint8_t *corner[4] = {above + left, above + right, below + left, below + right};
            augment_mix_four(0, pixel, corner, fx, fy, y);
        }
    }
}

ALWAYS_INLINE void augment_nearest_by(const int64_t pixel, const fnn_affine_row *r, const uint8_t *image,
                                      const uint8_t *fill, uint8_t *y)
{
    uint64_t at_x = (uint64_t)r->x, at_y = (uint64_t)r->y;
    for (int64_t j = 0; j < r->out_w; j++, at_x += (uint64_t)r->dx, at_y += (uint64_t)r->dy, y += pixel) {
        uint64_t i = at_x >> FNN_AFFINE_BITS, k = at_y >> FNN_AFFINE_BITS;
        bool inside = i < (uint64_t)r->w && k < (uint64_t)r->h;
        memcpy(y, inside ? image + ((int64_t)k * r->w + (int64_t)i) * pixel : fill, (size_t)pixel);
    }
}

/* Pixel j of y shows the point (x + j dx, y + j dy) of the image, whose pixel (i, k) covers [i, i + 1) x [k, k + 1):
 * that pixel or, bilinearly, the four whose centres are around the point, edge pixels being continued outwards. Points
 * outside the image give `fill`. */
static void KERNEL(augment_affine_row)(const fnn_affine_row *r, const uint8_t *image, const uint8_t *fill, uint8_t *y)
{
    if (r->bilinear) {
        if (r->pixel == 1)
            augment_bilinear_by(1, r, image, fill, y);
        else if (r->pixel == 3)
            augment_bilinear_by(3, r, image, fill, y);
        else
            augment_bilinear_by(r->pixel, r, image, fill, y);
    } else {
        if (r->pixel == 1)
            augment_nearest_by(1, r, image, fill, y);
        else if (r->pixel == 3)
            augment_nearest_by(3, r, image, fill, y);
        else
            augment_nearest_by(r->pixel, r, image, fill, y);
    }
}
