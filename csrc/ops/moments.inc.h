/* moments.inc.h - means and variances of numbers that were summed up part by part.
 *
 * A part's moments are a pivot, a number near its mean, the sum of what its numbers differ from the pivot, and the sum
 * of the squares of that. Parts are brought together in float64, in order. */

/* Adds to a sum and a sum of squares those of n other numbers, whose pivot lies d above. */
static inline void moments_add(double *sum, double *square, double other_sum, double other_square, double n, double d)
{
    *square += other_square + d * (2 * other_sum + n * d);
    *sum += other_sum + n * d;
}

/* Variance from the sum of squares of n deviations from a pivot near the mean; NaN stays. */
static inline double moments_variance(double square, double sum, double n)
{
    double variance = (square - sum * (sum / n)) / n;
    return variance < 0 ? 0 : variance;
}
