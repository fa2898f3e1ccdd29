"""Principal components of samples, and the whitening that they give."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.preprocessing.base import Preprocessor, doubles
from fastnn.transforms.base import Array


class PCA(Preprocessor):
    """Coordinates along the directions of largest variance: `(x - mean_) components_ᵀ`.

    The components are the eigenvectors of the covariance `Σ (x - mean)(x - mean)ᵀ / (N - 1)`, the largest eigenvalue
    first, the sign of each such that its largest entry is positive. Samples of more than one dimension are flattened.

    Args:
        n_components: how many to keep, k; a number below 1 is the share of the variance that they must explain; None
            keeps all, min(N, d).

    Attributes:
        mean_: of the training samples.
        components_: a row each.
        explained_variance_: the variance of the training samples along each.
        explained_variance_ratio_: its share of the whole variance.

    Shape:
        (N, ...) -> (N, k), d being the size of a sample; mean_ (...), components_ (k, d), explained_variance_ (k,)

    Raises:
        ValueError: if `n_components` is not positive; when fitted, if it exceeds min(N, d) or there is one sample only.

    Source: Pearson 1901; conventions are those of scikit-learn's `PCA`.

    Example:
        >>> import numpy as np
        >>> PCA(1).fit(np.array([[0.0, 0.0], [3.0, 3.0], [-3.0, -3.0]])).explained_variance_.tolist()
        [18.0]
    """

    fitted = ("mean_", "components_", "explained_variance_", "explained_variance_ratio_")

    mean_: Array
    components_: Array
    explained_variance_: Array
    explained_variance_ratio_: Array

    def __init__(self, n_components: int | float | None = None) -> None:
        if n_components is not None and not (0 < n_components < 1 or (n_components == int(n_components) >= 1)):
            raise ValueError(
                f"{type(self).__name__}: expected n_components >= 1, a share in (0, 1) or None, got {n_components!r}"
            )
        self.n_components = n_components

    def _fit(self, data: Array) -> None:
        name, (n, d) = type(self).__name__, (len(data), data[0].size)
        most = min(n, d)
        if n < 2:
            raise ValueError(f"{name}.fit: expected at least two samples, got {n}")
        if self.n_components is not None and self.n_components > most:
            raise ValueError(
                f"{name}.fit: expected n_components <= min(samples, size) = {most}, got {self.n_components}"
            )
        mean = np.sum([part.sum(axis=0) for part in doubles(data)], axis=0) / n
        values, vectors = _spectrum(data, mean, n - 1)
        ratio = values / (values.sum() or 1.0)
        keep = most
        if self.n_components is not None and self.n_components < 1:
            keep = min(int(np.searchsorted(np.cumsum(ratio), self.n_components, side="right")) + 1, most)
        elif self.n_components is not None:
            keep = int(self.n_components)
        self.mean_ = mean
        self.components_ = _with_positive_peaks(vectors[:keep])
        self.explained_variance_, self.explained_variance_ratio_ = values[:keep], ratio[:keep]

    def _transform(self, data: Array) -> Array:
        self._expect(data, self.mean_.shape)
        projected: Array = (data - self.mean_).reshape(len(data), self.mean_.size) @ self.components_.T
        return projected

    def _inverse(self, data: Array) -> Array:
        self._expect(data, (len(self.components_),))
        return (data @ self.components_).reshape(len(data), *self.mean_.shape) + self.mean_


class PCAWhitening(PCA):
    """Principal components scaled to variance 1: `(x - mean_) components_ᵀ / sqrt(explained_variance_ + eps)`.

    Args:
        n_components: as for `PCA`.
        eps: added to the variances, so that directions without variance are not blown up.

    Shape:
        (N, ...) -> (N, k); otherwise as `PCA`

    Raises:
        ValueError: as `PCA`, or if `eps` is negative.

    Source: scikit-learn's `PCA(whiten=True)` for `eps=0`.
    """

    def __init__(self, n_components: int | float | None = None, eps: float = 1e-5) -> None:
        super().__init__(n_components)
        self.eps = _checked_eps("PCAWhitening", eps)

    def _transform(self, data: Array) -> Array:
        whitened: Array = super()._transform(data) / _deviations(self.explained_variance_, self.eps)
        return whitened

    def _inverse(self, data: Array) -> Array:
        return super()._inverse(data * _deviations(self.explained_variance_, self.eps))


class ZCA(PCA):
    """Whitening that stays closest to the image: `(x - mean_) U diag(1 / sqrt(λ + eps)) Uᵀ`, U the components.

    Args:
        eps: added to the variances λ; for natural images it keeps the noise of the finest details small.

    Shape:
        (N, ...) -> (N, ...); otherwise as `PCA`

    Raises:
        ValueError: as `PCA`, or if `eps` is negative.

    Source: Bell, Sejnowski, "The 'independent components' of natural scenes are edge filters", 1997; for images:
    Krizhevsky, "Learning multiple layers of features from tiny images", 2009, appendix A.
    """

    def __init__(self, eps: float = 1e-2) -> None:
        super().__init__(None)
        self.eps = _checked_eps("ZCA", eps)

    def arguments(self) -> dict[str, Any]:
        return {"eps": self.eps}

    def _transform(self, data: Array) -> Array:
        white = super()._transform(data) / _deviations(self.explained_variance_, self.eps)
        return np.asarray(white @ self.components_).reshape(data.shape)

    def _inverse(self, data: Array) -> Array:
        flat = data.reshape(len(data), self.mean_.size) @ self.components_.T
        return super()._inverse(flat * _deviations(self.explained_variance_, self.eps))


def _spectrum(data: Array, mean: Array, divisor: int) -> tuple[Array, Array]:
    """Eigenvalues, largest first, and eigenvectors, a row each, of the covariance: (most,), (most, d)."""
    n, d = len(data), mean.size
    if d <= n:
        covariance = np.zeros((d, d))
        for part in doubles(data):
            centred = (part - mean).reshape(len(part), d)
            covariance += centred.T @ centred
        values, vectors = np.linalg.eigh(covariance / divisor)
        return np.maximum(values[::-1], 0), vectors.T[::-1]
    centred = np.concatenate([(part - mean).reshape(len(part), d) for part in doubles(data)])
    _, singular, rows = np.linalg.svd(centred, full_matrices=False)
    return singular**2 / divisor, rows


def _with_positive_peaks(vectors: Array) -> Array:
    """The same directions, the largest entry of each positive: eigenvectors have no sign of their own."""
    peaks = np.take_along_axis(vectors, np.argmax(np.abs(vectors), axis=1)[:, None], axis=1)
    turned: Array = vectors * np.where(peaks < 0, -1.0, 1.0)
    return turned


def _deviations(variance: Array, eps: float) -> Array:
    """`sqrt(λ + eps)`; the smallest positive number stands in for 0."""
    deviation: Array = np.sqrt(np.maximum(variance + eps, np.finfo(np.float64).tiny))
    return deviation


def _checked_eps(name: str, eps: float) -> float:
    if not 0 <= eps < np.inf:
        raise ValueError(f"{name}: expected eps >= 0, got {eps!r}")
    return float(eps)
