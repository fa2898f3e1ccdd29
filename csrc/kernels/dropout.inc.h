/* dropout.inc.h - the counter-based generator Philox-4x32-10 and what is drawn from it.
 *
 * Word i of stream (seed, stream) is word i % 4 of the cipher's output for counter (i / 4, stream) under key seed, as
 * fastnn/reference/random.py defines it: a word depends on its number alone, so tasks draw theirs independently.
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. */

#define WORD_LANES (FNN_VECTOR_BYTES / 8)
#define WORD_BLOCK (4 * WORD_LANES) /* words of one step of the vectorised cipher */

typedef uint32_t v_words __attribute__((vector_size(FNN_VECTOR_BYTES / sizeof(real) * 4), aligned(4), may_alias));

/* word[4 l .. 4 l + 4) = the cipher's output for the counter in 64-bit lane l. Each lane of c0 .. c3 holds one 32-bit
 * word; upper halves may hold anything until the end, as the multiplications ignore them. */
ALWAYS_INLINE void philox_cipher(uint64_t seed, vu64 c0, vu64 c1, vu64 c2, vu64 c3, uint32_t *word)
{
    vu64 low = (vu64){0} + 0xffffffffu;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    vu64 m0 = (vu64){0} + 0xD2511F53u, m1 = (vu64){0} + 0xCD9E8D57u;
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++) {
        vu64 p0 = v_mul_low_words(c0, m0), p1 = v_mul_low_words(c2, m1);
        c0 = (p1 >> 32) ^ c1 ^ (uint64_t)k0;
        c1 = p1;
        c2 = (p0 >> 32) ^ c3 ^ (uint64_t)k1;
        c3 = p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    vu64 first = (c0 & low) | (c1 << 32), second = (c2 & low) | (c3 << 32);
#pragma GCC unroll 8
    for (int i = 0; i < WORD_LANES; i++) {
        uint64_t pair[2] = {first[i], second[i]};
        memcpy(word + 4 * i, pair, sizeof pair);
    }
}

/* word[0 .. WORD_BLOCK) = words 4 block ... of the stream. */
ALWAYS_INLINE void philox_words(uint64_t seed, uint64_t stream, uint64_t block, uint32_t *word)
{
    vu64 c0, c2 = (vu64){0} + stream;
#pragma GCC unroll 8
    for (int i = 0; i < WORD_LANES; i++)
        c0[i] = block + (uint64_t)i;
    philox_cipher(seed, c0, c0 >> 32, c2, c2 >> 32, word);
}

/* y[i] = scale x[i] where word start + i reaches the threshold, else 0; start is a multiple of 4 */
static void KERNEL(dropout)(int64_t n, int64_t start, const real *x, uint64_t seed, uint64_t stream, uint32_t threshold,
                            double scale, real *y)
{
    uint32_t word[WORD_BLOCK];
    vr factor = v_splat((real)scale);
    for (int64_t i = 0; i < n; i += WORD_BLOCK) {
        philox_words(seed, stream, (uint64_t)(start + i) / 4, word);
        for (int j = 0; j < WORD_BLOCK && i + j < n; j += VL) {
            int64_t here = n - i - j < VL ? n - i - j : VL;
            vi keep = (vi)(__builtin_convertvector(*(const v_words *)(word + j), vu) >= (real_uint)threshold);
            v_store_upto(y + i + j, v_and(keep, v_load_upto(x + i + j, here) * factor), here);
        }
    }
}

/* y[r, j] = x[r, j] factor[j], exactly 0 where the factor is 0 */
static void KERNEL(feature_dropout)(int64_t rows, int64_t channels, const real *x, const real *factor, real *y)
{
    for (int64_t r = 0; r < rows; r++, x += channels, y += channels)
        for (int64_t j = 0; j < channels; j += VL) {
            int64_t n = channels - j < VL ? channels - j : VL;
            vr f = v_load_upto(factor + j, n);
            v_store_upto(y + j, v_and(f != 0, v_load_upto(x + j, n) * f), n);
        }
}

/* y[i] = low + (high - low) u, u uniform in [0, 1) from word start + i (float) or words 2 (start + i) and the next
 * (double); start is a multiple of 4 */
static void KERNEL(random_uniform)(int64_t n, int64_t start, uint64_t seed, uint64_t stream, double low, double high,
                                   real *y)
{
    enum { WORDS = sizeof(real) / 4, STEP = WORD_BLOCK / WORDS };
    uint32_t word[WORD_BLOCK];
    for (int64_t i = 0; i < n; i += STEP) {
        philox_words(seed, stream, (uint64_t)((start + i) * WORDS) / 4, word);
        for (int64_t j = 0; j < STEP && i + j < n; j++) {
#ifdef FNN_REAL_F64
            uint64_t bits = ((uint64_t)(word[2 * j] >> 5) << 26) + (word[2 * j + 1] >> 6);
            double u = (double)bits * 0x1p-53;
#else
            float u = (float)(word[j] >> 8) * 0x1p-24f;
#endif
            y[i + j] = (real)low + (real)(high - low) * u;
        }
    }
}

/* Elements that are drawn together, whatever the length of the vectors. */
#define NORMAL_GROUP 64

/* y[i] = mean + deviation z, z normal by the transform of Box and Muller: of the uniform numbers of each group of 64
 * that random_uniform gives, number k < 32 is the radius and number 32 + k the angle of elements k and 32 + k; start is
 * a multiple of 64 */
static void KERNEL(random_normal)(int64_t n, int64_t start, uint64_t seed, uint64_t stream, double mean,
                                  double deviation, real *y)
{
    enum { HALF = NORMAL_GROUP / 2 };
    real u[NORMAL_GROUP], z[NORMAL_GROUP];
    vr middle = v_splat((real)mean), scale = v_splat((real)deviation);
    for (int64_t i = 0; i < n; i += NORMAL_GROUP) {
        int64_t here = n - i < NORMAL_GROUP ? n - i : NORMAL_GROUP;
        KERNEL(random_uniform)(NORMAL_GROUP, start + i, seed, stream, 0, 1, u);
        for (int k = 0; k < HALF; k += VL) {
            vr cosine, sine = v_sine_and_cosine_of_turn(v_load(u + HALF + k), &cosine);
            vr radius = scale * v_sqrt(v_max(v_zero(), v_log(1 - v_load(u + k)) * -2));
            v_store(z + k, v_fma(radius, cosine, middle));
            v_store(z + HALF + k, v_fma(radius, sine, middle));
        }
        memcpy(y + i, z, (size_t)here * sizeof(real));
    }
}

/* y[i, j] = number j of sample[i], i < n, j < count: 53 random bits as a multiple of 2^-53 in [0, 1), from half j % 2
 * of the cipher's output for counter (j / 2, call, sample[i], epoch). */
static void KERNEL(random_samples)(int64_t n, int64_t count, uint64_t seed, uint64_t epoch, uint64_t call,
                                   const uint64_t *sample, double *y)
{
    uint32_t word[WORD_BLOCK];
    int64_t blocks = (count + 1) / 2, counters = n * blocks, row = 0, block = 0;
    for (int64_t at = 0; at < counters; at += WORD_LANES) {
        int64_t first_row = row, first_block = block;
        vu64 c0 = {0}, c2 = {0};
        for (int lane = 0; lane < WORD_LANES && row < n; lane++) {
            c0[lane] = (uint64_t)block;
            c2[lane] = sample[row];
            if (++block == blocks)
                block = 0, row++;
        }
        philox_cipher(seed, c0, (vu64){0} + call, c2, (vu64){0} + epoch, word);
        int64_t r = first_row, b = first_block;
        for (int lane = 0; lane < WORD_LANES && r < n; lane++) {
            for (int64_t half = 0; half < 2 && 2 * b + half < count; half++) {
                uint64_t bits;
                memcpy(&bits, word + 4 * lane + 2 * half, sizeof bits);
                y[r * count + 2 * b + half] = (double)(bits >> 11) * 0x1p-53;
            }
            if (++b == blocks)
                b = 0, r++;
        }
    }
}
