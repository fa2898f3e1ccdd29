/* math.h - exponential, logarithm, tanh, erf and their kin over vectors of `real`, for float and double alike.
 *
 * The reductions are the classic ones (exp: x = n ln 2 + r; log: x = 2^k (1 + f), then the series of atanh in
 * s = f / (2 + f)); the polynomials are minimax fits of our own, printed by scripts/fit_math.py. Errors stay within
 * 4 units in the last place (tests/test_math_accuracy.py); infinities, NaN, denormals and overflow come out as in C's
 * mathematics library. Lanes are independent: a value does not depend on its neighbours. */

#ifdef FNN_REAL_F64
#define V_MANTISSA 52
#define V_BIAS 1023
#define V_ROUNDER 6755399441055744.0 /* 1.5 * 2^52: adding it leaves the nearest whole number in the low bits */
#define V_LN2_HIGH 6.93147180369123816490e-01 /* trailing zeros: exact when multiplied by an exponent */
#define V_LN2_LOW 1.90821492927058770002e-10
#define V_EXP_TOP 710.0       /* exp is inf from here on */
#define V_EXP_BOTTOM -746.0   /* and 0 down from here */
#define V_EXP_NORMAL 708.0    /* exp(-x) is a normal number up to here */
#define V_EXPM1_BOTTOM -100.0 /* exp(x) - 1 is -1 down from here */
#define V_SMALLEST_NORMAL 2.2250738585072014e-308
#define V_HALF_ROOT_BITS 0x3fe6a09e00000000 /* of about sqrt(1/2) */
#define V_ERF_TOP 6.0                       /* erf is 1 from here on */
static const real exp_tail[] = {0.50000000000000056,    0.16666666666666685,    0.041666666666573329,
                                0.0083333333333145323,  0.0013888888932483382,  0.0001984126990318245,
                                2.4801504313183643e-05, 2.7557227800587021e-06, 2.7626381811456538e-07,
                                2.5114526519055071e-08};
static const real log_tail[] = {0.66666666666667351, 0.39999999999412889, 0.2857142874282424, 0.22222198524688491,
                                0.18183567027443029, 0.1531397703838776,  0.14796727387949479};
static const real erf_ratio[] = {1.1283791670955126,      -0.37612638903183521,   0.11283791670944185,
                                 -0.026866170643111465,   0.0052239776061184517,  -0.00085483259293130586,
                                 0.00012055293576852771,  -1.492471230106381e-05, 1.6447131559733455e-06,
                                 -1.6206313672840117e-07, 1.3710980043116725e-08, -7.7794678579114008e-10};
static const real erfcx[] = {
    0.21080636406114359,    -0.37173673394897355,    0.25171319321744834,     -0.12503305237879381,
    0.039922539075672517,   -0.0039937011675490056,  -0.0026423659683857208,  0.00087591548485517815,
    0.00022838048156354409, -0.00012887750860944664, -3.4183633528760595e-05, 1.8615665999797799e-05,
    7.5627967116235546e-06, -2.294401979945496e-06,  -1.8391499038490505e-06, 3.6879257352027933e-08,
    3.9243962417576029e-07, 1.5664203714748171e-07,  2.1945898217730319e-08};
#else
#define V_MANTISSA 23
#define V_BIAS 127
#define V_ROUNDER 12582912.0f
#define V_LN2_HIGH 0.693359375f
#define V_LN2_LOW -2.12194440054690583e-4f
#define V_EXP_TOP 89.0f
#define V_EXP_BOTTOM -104.0f
#define V_EXP_NORMAL 87.0f
#define V_EXPM1_BOTTOM -50.0f
#define V_SMALLEST_NORMAL 1.17549435e-38f
#define V_HALF_ROOT_BITS 0x3f3504f3
#define V_ERF_TOP 4.0f
static const real exp_tail[] = {0.50000000620849483, 0.16666542793880854, 0.041666281399137153, 0.0083666106028195669,
                                0.0013946497125012509};
static const real log_tail[] = {0.6666677654920572, 0.39977518586396815, 0.29872400464590021};
static const real erf_ratio[] = {1.1283791657267235,    -0.37612625824224111, 0.11283585148549699,
                                 -0.026853811936196969, 0.005188327694144102, -0.00080101937521834851,
                                 7.8538619251257219e-05};
static const real erfcx[] = {0.21080636433876662,    -0.37173675077848212,   0.25171315633982627,
                             -0.12503203593201787,   0.03992470880284902,    -0.0040065947419897392,
                             -0.0026836510943796903, 0.00087302735061917309, 0.00033707169631431582};
#endif

/* Taylor series of sin(x) / x and cos(x) in x^2, long enough for |x| <= pi / 4. */
#ifdef FNN_REAL_F64
#define V_SINE_TERMS 9
#define V_COSINE_TERMS 9
#else
#define V_SINE_TERMS 5
#define V_COSINE_TERMS 6
#endif
static const real sine_series[] = {1.0,
                                   -1.0 / 6,
                                   1.0 / 120,
                                   -1.0 / 5040,
                                   1.0 / 362880,
                                   -1.0 / 39916800,
                                   1.0 / 6227020800,
                                   -1.0 / 1307674368000,
                                   1.0 / 355687428096000};
static const real cosine_series[] = {1.0,
                                     -1.0 / 2,
                                     1.0 / 24,
                                     -1.0 / 720,
                                     1.0 / 40320,
                                     -1.0 / 3628800,
                                     1.0 / 479001600,
                                     -1.0 / 87178291200,
                                     1.0 / 20922789888000};

#define V_ERFCX_CENTRE ((real)2.5)
#define V_ONE_BITS ((real_uint)V_BIAS << V_MANTISSA)
#define V_LOG2E ((real)1.4426950408889634074)

/* All ones in the first n lanes. */
ALWAYS_INLINE vi v_lanes_below(int64_t n)
{
    vi index;
#pragma GCC unroll 16
    for (int i = 0; i < VL; i++)
        index[i] = i;
    return index < (real_int)n;
}

/* The first n lanes from memory, `fill` in the others. */
ALWAYS_INLINE vr v_load_or(const real *p, int64_t n, vr fill)
{
    return n >= VL ? v_load(p) : v_select(v_lanes_below(n), v_load_n(p, n), fill);
}

/* The first n lanes, n being VL or more for most of a loop and less at its end. */
ALWAYS_INLINE vr v_load_upto(const real *p, int64_t n) { return n >= VL ? v_load(p) : v_load_n(p, n); }
ALWAYS_INLINE void v_store_upto(real *p, vr a, int64_t n)
{
    if (n >= VL)
        v_store(p, a);
    else
        v_store_n(p, a, n);
}

/* The largest lane. */
ALWAYS_INLINE real v_max_lane(vr a)
{
    if (VL >= 16)
        a = v_max(a, v_swap(a, 8 % VL));
    if (VL >= 8)
        a = v_max(a, v_swap(a, 4 % VL));
    if (VL >= 4)
        a = v_max(a, v_swap(a, 2 % VL));
    a = v_max(a, v_swap(a, 1));
    return a[0];
}

/* coefficient[0] + coefficient[1] x + ... of `count` constants, by Horner's rule. */
ALWAYS_INLINE vr v_polynomial(vr x, const real *coefficient, const int count)
{
    vr sum = v_splat(coefficient[count - 1]);
#pragma GCC unroll 16
    for (int i = count - 2; i >= 0; i--)
        sum = v_fma(sum, x, v_splat(coefficient[i]));
    return sum;
}
#define V_POLYNOMIAL(x, coefficients) v_polynomial(x, coefficients, (int)(sizeof coefficients / sizeof(real)))

ALWAYS_INLINE vr v_round(vr a) { return (a + V_ROUNDER) - V_ROUNDER; } /* |a| < 2^(V_MANTISSA - 1) */
ALWAYS_INLINE vr v_copysign(vr magnitude, vr sign)
{
    vu top = (vu){0} + ((real_uint)1 << (8 * sizeof(real) - 1));
    return (vr)(((vu)magnitude & ~top) | ((vu)sign & top));
}

#ifndef FNN_HAVE_RECIPROCAL
/* 1 / a for a of ordinary size, to about one unit in the last place. */
ALWAYS_INLINE vr v_reciprocal(vr a) { return 1 / a; }
#endif

#ifndef FNN_HAVE_LDEXP
/* a 2^n for whole n of at most twice the exponent range, in two steps so that denormal results come out right. */
ALWAYS_INLINE vr v_ldexp(vr a, vr n)
{
    vi whole = (vi)(n + V_ROUNDER) - (vi)v_splat(V_ROUNDER), half = whole >> 1;
    vr first = (vr)((half + V_BIAS) << V_MANTISSA), second = (vr)((whole - half + V_BIAS) << V_MANTISSA);
    return a * first * second;
}
#endif

/* exp(r) - 1, where x = n ln 2 + r and |r| <= ln 2 / 2. n comes as n + V_ROUNDER, its low bits being the integer. */
ALWAYS_INLINE vr v_exp_reduced(vr x, vr *n)
{
    *n = v_fma(x, v_splat(V_LOG2E), v_splat(V_ROUNDER));
    vr whole = *n - V_ROUNDER;
    vr r = (x - whole * V_LN2_HIGH) - whole * V_LN2_LOW;
    return v_fma(r * r, V_POLYNOMIAL(r, exp_tail), r);
}

/* 2^n for n as v_exp_reduced leaves it, within the range of normal numbers. */
ALWAYS_INLINE vr v_power_of_two(vr n) { return (vr)(((vu)n << V_MANTISSA) + V_ONE_BITS); }

/* Where the result would be 0 it is masked, not computed: a processor takes a hundred cycles over an underflow. */
ALWAYS_INLINE vr v_exp(vr x)
{
    vi counts = ~(x < V_EXP_BOTTOM);                                             /* NaN counts */
    vr n, rest = v_exp_reduced(v_min(v_splat(V_EXP_TOP), v_and(counts, x)), &n); /* in this order NaN stays NaN */
    return v_and(counts, v_ldexp(rest + 1, n - V_ROUNDER));
}

/* exp(-x) for x >= 0; 0 where that is below the normal numbers. */
ALWAYS_INLINE vr v_exp_minus(vr x)
{
    vi counts = ~(x > V_EXP_NORMAL); /* NaN counts */
    vr n, rest = v_exp_reduced(-v_min(v_splat(V_EXP_NORMAL), x), &n), power = v_power_of_two(n);
    return v_and(counts, v_fma(rest, power, power));
}

/* exp(x) - 1 for x <= 0, accurate near 0. */
ALWAYS_INLINE vr v_expm1_negative(vr x)
{
    vr n, rest = v_exp_reduced(v_max(v_splat(V_EXPM1_BOTTOM), x), &n), power = v_power_of_two(n);
    return v_fma(rest, power, power - 1);
}

ALWAYS_INLINE vr v_tanh(vr x)
{
    vr t = v_expm1_negative(v_abs(x) * -2);
    return v_copysign(t * v_reciprocal(t + 2), x);
}

/* log(x); -inf at 0, NaN below. */
ALWAYS_INLINE vr v_log(vr x)
{
    vi tiny = x < V_SMALLEST_NORMAL;
    vr scaled = v_select(tiny, x * (real)((real_uint)1 << V_MANTISSA), x);
    vu bits = (vu)scaled + (V_ONE_BITS - (real_uint)V_HALF_ROOT_BITS);
    vi exponent = (vi)(bits >> V_MANTISSA) - V_BIAS - (tiny & V_MANTISSA);
    vr k = (vr)(exponent + (vi)v_splat(V_ROUNDER)) - V_ROUNDER;
    vr f = (vr)((bits & (((real_uint)1 << V_MANTISSA) - 1)) + (real_uint)V_HALF_ROOT_BITS) - 1;
    vr s = f / (f + 2), z = s * s, half_square = f * f * (real)0.5;
    vr rest = v_fma(s, v_fma(z, V_POLYNOMIAL(z, log_tail), half_square), k * V_LN2_LOW);
    vr result = v_fma(k, v_splat(V_LN2_HIGH), f - (half_square - rest));
    result = v_select(x == 0, v_splat(-(real)INFINITY), result);
    result = v_select(x == (real)INFINITY, x, result);
    return v_select(x >= 0, result, v_splat((real)NAN));
}

/* log(1 + x), accurate near 0: the rounding error of 1 + x is put back. */
ALWAYS_INLINE vr v_log1p(vr x)
{
    vr sum = x + 1, lost = x - (sum - 1);
    return v_log(sum) + v_and((sum > 0) & (sum < (real)INFINITY), lost / sum);
}

/* 1 / (1 + exp(-x)) */
ALWAYS_INLINE vr v_sigmoid(vr x)
{
    vr e = v_exp(-v_abs(x));
    return v_select(x >= 0, v_splat(1), e) * v_reciprocal(e + 1);
}

/* log(1 + exp(x)) */
ALWAYS_INLINE vr v_softplus(vr x) { return v_max(v_zero(), x) + v_log1p(v_exp(-v_abs(x))); }

/* erfc(a) and exp(-a^2) for a >= 0: their quotient is a polynomial in (a - 2.5) / (a + 2.5). From V_ERF_TOP on only the
 * absolute error is small; below the normal numbers both are 0. */
ALWAYS_INLINE vr v_erfc_and_gauss(vr a, vr *gauss)
{
    vr centre = v_splat(V_ERFCX_CENTRE), bounded = v_min(v_splat(V_ERF_TOP), a);
    vr t = v_fma(centre * -2, v_reciprocal(bounded + centre), v_splat(1));
    *gauss = v_exp_minus(a * a);
    return *gauss * V_POLYNOMIAL(t, erfcx);
}

/* erf(x): below 1 an odd polynomial. */
ALWAYS_INLINE vr v_erf(vr x)
{
    vr gauss, a = v_abs(x), far = 1 - v_erfc_and_gauss(a, &gauss);
    return v_select(a < 1, x * V_POLYNOMIAL(x * x, erf_ratio), v_copysign(far, x));
}

/* The normal distribution function's smaller tail, (1 - erf(|x| / sqrt 2)) / 2, and exp(-x^2 / 2). */
ALWAYS_INLINE vr v_normal_tail_and_gauss(vr x, vr *gauss)
{
    return v_erfc_and_gauss(v_abs(x) * (real)0.70710678118654752440, gauss) * (real)0.5;
}

/* sin(2 pi u) and cos(2 pi u) for 0 <= u < 1: a whole number of quarter turns and an eighth of one at most. */
ALWAYS_INLINE vr v_sine_and_cosine_of_turn(vr u, vr *cosine)
{
    vr quarters = v_round(u * 4), x = (u * 4 - quarters) * (real)1.57079632679489661923, z = x * x;
    vr s = x * v_polynomial(z, sine_series, V_SINE_TERMS), c = v_polynomial(z, cosine_series, V_COSINE_TERMS);
    vi first = quarters == 1, second = quarters == 2, third = quarters == 3;
    vr across = v_select(first | third, s, c), up = v_select(first | third, c, s);
    *cosine = v_select(first | second, -across, across);
    return v_select(second | third, -up, up);
}
