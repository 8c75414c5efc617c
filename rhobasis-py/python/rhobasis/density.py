"""The atom density and its expansion, Eqs. (2)-(5), (8), (13)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from . import _native
from ._arguments import bytes_of, frames_of, of_l, one_array, only_species
from ._base import Parameters, Settings
from ._centers import CENTERS, CentersLike, Precision, UnknownSpecies, chosen, ignores, is_single, portions
from ._errors import NotFittedError
from ._output import channel_names, tags_of_frames
from .primitive import Primitive
from .structure import Frames, as_native

if TYPE_CHECKING:
    from typing_extensions import Self

    from .structure import FramesLike

_DEFAULT = _native.DEFAULTS

CutoffFunction: TypeAlias = Literal["cosine", "polynomial", "tanh", "step"]


class RadialScaling(Settings):
    """Weight u(r) = rate / (rate + (r/scale)^exponent) of a neighbour; `scale` in Å.

    >>> RadialScaling(rate=1.0, scale=2.0, exponent=7.0)
    RadialScaling(rate=1.0, scale=2.0, exponent=7.0)
    """

    def __init__(self, rate: float, scale: float, exponent: float) -> None:
        self.rate = rate
        self.scale = scale
        self.exponent = exponent


class Density(Settings):
    """The atom density around a centre, Eq. (2).

    Parameters
    ----------
    r_cut : float, default 5.0
        Cutoff radius, in Å: atoms at r < r_cut are neighbours.
    sigma : float or dict, default 0.3
        Standard deviation of the Gaussian on each neighbour, in Å, the same for all or by species; 0 is the δ density.
    cutoff_width : float, default 0.5, and 0 for a step
        Width w of the shell below r_cut in which the cutoff function falls from 1 to 0, in Å; at most r_cut.
    scaling : RadialScaling, optional
        By which each neighbour's contribution is multiplied; None: by 1.
    center_weight : float, default 1.0
        Weight of the centre atom in its own density.
    cutoff_function : {"cosine", "polynomial", "tanh", "step"}, default "cosine"
        How the weight f_cut of a neighbour falls to 0 at r_cut, with s = (r_cut − r)/w and t = 1 − s:

            cosine      ½(1 + cos πt)            1 for t ≤ 0
            polynomial  1 − 10t³ + 15t⁴ − 6t⁵    1 for t ≤ 0
            tanh        tanh³ s                  below 1 at all distances; w > 0
            step        1                        w = 0

        Of the cosine the slope is continuous, of polynomial and tanh the curvature too, which smooth second derivatives
        (phonons, elastic constants) ask for. With a step, features, energies and forces jump where an atom crosses
        r_cut: for static descriptors and comparisons, not for dynamics or relaxations.

    Examples
    --------
    >>> Density(r_cut=4.0, sigma={"H": 0.2, 6: 0.3}).get_params()["sigma"]
    {'H': 0.2, 6: 0.3}
    >>> Density(r_cut=6.0, cutoff_width=6.0, cutoff_function="tanh")  # tanh³(1 − r/r_cut)
    Density(r_cut=6.0, cutoff_width=6.0, cutoff_function='tanh')
    >>> Density(cutoff_function="step").cutoff_width
    0.0
    """

    def __init__(
        self,
        r_cut: float = _DEFAULT["r_cut"],
        sigma: float | Mapping[str | int, float] = _DEFAULT["sigma"],
        cutoff_width: float | None = None,
        scaling: RadialScaling | None = None,
        center_weight: float = _DEFAULT["center_weight"],
        cutoff_function: CutoffFunction = _DEFAULT["cutoff_function"],
    ) -> None:
        self.r_cut = r_cut
        self.sigma = sigma
        self.cutoff_width: float = _width_of(cutoff_function) if cutoff_width is None else cutoff_width
        self.scaling = scaling
        self.center_weight = center_weight
        self.cutoff_function: CutoffFunction = cutoff_function

    def _shown(self) -> list[tuple[str, Any]]:
        usual = ("cutoff_width", _width_of(self.cutoff_function))
        return [parameter for parameter in super()._shown() if parameter != usual]


def _width_of(cutoff_function: str) -> float:
    """The default of `cutoff_width`."""
    return 0.0 if cutoff_function == "step" else _DEFAULT["cutoff_width"]


class Equivariants:
    """⟨anlm|ρ_i⟩ for many centres.

    Attributes
    ----------
    blocks : list of ndarray
        For each l an array [center, m, channel], m = −l … l.
    centers : structured ndarray
        With fields ``structure``, ``atom``, ``species``: what the rows are.
    channels : list of ndarray
        For each l an array [channel, 2] of (neighbour species, n); species 0 is all species combined.
    """

    def __init__(self, blocks: list[np.ndarray], centers: np.ndarray, channels: list[np.ndarray]) -> None:
        self.blocks = blocks
        self.centers = centers
        self.channels = channels

    @property
    def l_max(self) -> int:
        """Largest angular momentum."""
        return len(self.blocks) - 1

    def __len__(self) -> int:
        return len(self.centers)

    def to_matrix(self) -> np.ndarray:
        """All coefficients in one matrix, a row for each centre: l slowest, then m, then channel."""
        return np.hstack([block.reshape(len(block), -1) for block in self.blocks])

    def __repr__(self) -> str:
        channels = [block.shape[2] for block in self.blocks]
        shown = str(channels[0]) if len(set(channels)) == 1 else str(channels)
        return f"Equivariants({len(self)} centers, l_max={self.l_max}, channels per l: {shown})"


class Jacobian:
    """Derivatives of the coefficients of some centres.

    Attributes
    ----------
    blocks : list of ndarray
        For each l an array; by positions [row, 3, m, channel], by strain or cell [row, 3, 3, m, channel].
    rows : structured ndarray
        With fields ``structure``, ``center``, ``atom``. By positions, a row for each centre and each atom within its
        cutoff (itself included, images summed); else one for each centre, with ``atom`` −1.
    channels : list of ndarray
        As those of `Equivariants`.
    """

    def __init__(self, blocks: list[np.ndarray], rows: np.ndarray, channels: list[np.ndarray]) -> None:
        self.blocks = blocks
        self.rows = rows
        self.channels = channels

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"Jacobian({len(self)} rows, l_max={len(self.blocks) - 1})"


By: TypeAlias = Literal["positions", "strain", "cell"]

_ROWS = np.dtype([("structure", np.int64), ("center", np.int64), ("atom", np.int64)])


class Evaluator(Parameters):
    """What the primitive and the optimal basis share: coefficients of frames, and forces from their gradient."""

    def _evaluator(self, frames: _native.Frames) -> _native.Expansion | _native.Basis:
        raise NotImplementedError

    def fit(self, frames: FramesLike, y: Any = None) -> Self:
        """Learns from `frames` what the coefficients of all other frames need."""
        raise NotImplementedError

    def _check_settings(self) -> None:
        """Refuses settings that are no longer those of the fit, where they matter."""

    def _check_species(self) -> None:
        """Refuses where the channels are not known yet."""
        raise NotImplementedError

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of `Equivariants.to_matrix`: l1_m-1_H0, … by l, m and channel (species, n).

        Channels of all species combined are q0, q1, …; `input_features` is not looked at.
        """
        self._check_species()
        channels = self._evaluator(_native.Frames.from_atoms([], False)).channels()
        named = enumerate(channel_names(table.tolist(), _native.SYMBOLS) for table in channels)
        names = [f"l{l}_m{m}_{channel}" for l, of_l in named for m in range(-l, l + 1) for channel in of_l]
        return np.array(names, dtype=object)

    @property
    def n_features_out_(self) -> int:
        """Number of columns of `Equivariants.to_matrix`."""
        return len(self.get_feature_names_out())

    def __sklearn_tags__(self) -> Any:
        return tags_of_frames("transformer")

    def transform(
        self,
        frames: FramesLike,
        progress: bool = False,
        centers: CentersLike | None = None,
        dtype: Precision = "float64",
        unknown_species: UnknownSpecies = "error",
    ) -> Equivariants:
        """Density coefficients of the atoms of `frames`, in order.

        Parameters
        ----------
        frames : Atoms, list of Atoms, Frames or path
            In Å.
        progress : bool, default False
            Whether to show a bar on standard error.
        centers : optional
            The atoms whose coefficients are computed, the others being neighbours only, as for
            `PowerSpectrum.transform`: a species or several, indices or a mask for each frame, a mask of all atoms.
        dtype : {"float64", "float32"}, default "float64"
            Of the result, which is rounded at the end.
        unknown_species : {"error", "ignore"}, default "error"
            Whether neighbours of species that are not known are refused, or left out as if they were not there. As
            centres they are refused either way.

        Examples
        --------
        >>> from ase.build import molecule
        >>> from rhobasis import Gto
        >>> expansion = SphericalExpansion(Density(r_cut=4.0), Gto(n_max=4), l_max=2)
        >>> c = expansion.transform(molecule("CH3OH"), centers="O", dtype="float32")
        >>> len(c), c.centers.tolist(), c.blocks[1].dtype
        (1, [(0, 1, 8)], dtype('float32'))
        """
        native = as_native(frames)
        evaluator, around = self._evaluator(native), chosen(native, centers)
        request = is_single(dtype), ignores(unknown_species)
        parts, channels = [], []
        for start, some, of_some in portions(native, around, progress):
            blocks, rows, channels = evaluator.forward(some, of_some, *request)
            rows[:, 0] += start
            parts.append((blocks, rows.view(CENTERS)[:, 0]))
        if len(parts) == 1:
            blocks, rows = parts[0]
            return Equivariants(blocks, rows, channels)
        blocks = [np.concatenate([blocks[l] for blocks, _ in parts]) for l in range(len(channels))]
        return Equivariants(blocks, np.concatenate([rows for _, rows in parts]), channels)

    def backward(
        self, frames: FramesLike, gradient: Equivariants | Sequence[ArrayLike]
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Forces −dE/dr ([atoms, 3] for each frame) and virials −dE/dε ([frames, 3, 3]), given dE/dc in blocks.

        The adjoint of `transform`: its cost does not depend on how many features were made of the coefficients.

        >>> from ase.build import molecule
        >>> from rhobasis import Gto
        >>> expansion = SphericalExpansion(Density(r_cut=4.0), Gto(n_max=4), l_max=2)
        >>> c = expansion.transform(molecule("H2O"))
        >>> forces, virials = expansion.backward(molecule("H2O"), c)  # of E = ½ Σ c²
        >>> forces[0].shape, virials.shape
        ((3, 3), (1, 3, 3))

        Raises `RhobasisError` for blocks of another shape, or where forces are not finite.
        """
        native = as_native(frames)
        blocks = gradient.blocks if isinstance(gradient, Equivariants) else list(gradient)
        return self._evaluator(native).backward(native, blocks)

    def tangent(
        self, frames: FramesLike, velocities: ArrayLike | Sequence[ArrayLike], strain: ArrayLike | None = None
    ) -> Equivariants:
        """dc/dt along one motion: the Jacobian times a vector, at two to three times the cost of `transform`.

        `velocities` is dr/dt: [atom, 3] over the atoms of all frames, or such an array for each frame, as `backward`
        gives forces. `strain` is dε/dt, [frame, 3, 3], for r → r(1 + ε), cell → cell(1 + ε), positions and lattice
        vectors being rows.

        >>> from ase.build import molecule
        >>> from rhobasis import Gto
        >>> water = molecule("H2O")
        >>> expansion = SphericalExpansion(Density(r_cut=4.0), Gto(n_max=4), l_max=2)
        >>> dc = expansion.tangent(water, velocities=[[0, 0, 0.1]] * 3)  # all atoms alike: nothing changes
        >>> bool(abs(dc.blocks[1]).max() < 1e-15)
        True
        """
        native = as_native(frames)
        velocities = one_array(velocities, native.n_atoms())
        blocks, centers, channels = self._evaluator(native).tangent(native, velocities, frames_of(strain))
        return Equivariants(blocks, centers.view(CENTERS)[:, 0], channels)

    def jacobian(self, frames: FramesLike, by: By = "positions") -> Jacobian:
        """All derivatives of the coefficients, in memory; `jacobian_parts` gives them piece by piece.

        By "positions": dc_i/dr_j. By "strain": dc/dε_pq for r → r(1 + ε), cell → cell(1 + ε), not symmetrised.
        By "cell": dc/dH_pq, lattice vectors in rows, Cartesian positions fixed. Forces cost far less with `backward`.

        >>> from ase.build import molecule
        >>> from rhobasis import Gto
        >>> expansion = SphericalExpansion(Density(r_cut=4.0), Gto(n_max=4), l_max=1)
        >>> jacobian = expansion.jacobian(molecule("H2O"))
        >>> jacobian.blocks[1].shape  # (centre, atom) rows, xyz, m, channel
        (9, 3, 3, 8)
        >>> jacobian.rows[:4].tolist()
        [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 0)]
        """
        native = as_native(frames)
        evaluator = self._evaluator(native)
        for everything in _jacobians(evaluator, native, by, None):
            return everything
        axes = (3,) if by == "positions" else (3, 3)
        channels = evaluator.channels()
        blocks = [np.zeros((0, *axes, 2 * l + 1, len(of_l))) for l, of_l in enumerate(channels)]
        return Jacobian(blocks, np.zeros(0, _ROWS), channels)

    def jacobian_parts(self, frames: FramesLike, by: By = "positions", memory: float = 4e6) -> Iterator[Jacobian]:
        """The Jacobian in parts of at most `memory` bytes (or one centre), centres in order.

        Fastest while a part fits into the cache of the processor. Memory of parts that are no longer used is used
        again; parts that are kept stay as they are.

        >>> from ase.build import molecule
        >>> from rhobasis import Gto
        >>> expansion = SphericalExpansion(Density(r_cut=4.0), Gto(n_max=4), l_max=1)
        >>> sum(len(part) for part in expansion.jacobian_parts([molecule("H2O")] * 3, memory=5000))
        27
        """
        native = as_native(frames)
        return _jacobians(self._evaluator(native), native, by, bytes_of(memory))


class SphericalExpansion(Evaluator):
    """Density coefficients in a primitive basis, Eqs. (3), (4).

    Parameters
    ----------
    density : Density
        What is expanded.
    primitive : Gto, Dvr, LaplacianEigenstates or Tabulated
        Radial functions that it is expanded in.
    l_max : int, default 6
        Largest angular momentum, included.
    species : list of int or str, optional
        Neighbour species (numbers or symbols) that get channels; by default those of `fit`, or of the frames.
    spline_accuracy : float or None, default 1e-08
        Largest relative error of the splined radial integrals; None evaluates them exactly, and slowly.

    Examples
    --------
    >>> from ase.build import molecule
    >>> from rhobasis import Gto
    >>> expansion = SphericalExpansion(Density(r_cut=4.0), Gto(n_max=4), l_max=2)
    >>> c = expansion.transform([molecule("H2O"), molecule("CH4")])
    >>> c
    Equivariants(8 centers, l_max=2, channels per l: 12)
    >>> c.blocks[2].shape  # centers, m, channels (species, n)
    (8, 5, 12)
    >>> c.channels[2][:5].tolist()
    [[1, 0], [1, 1], [1, 2], [1, 3], [6, 0]]
    """

    species_: list[int]

    def __init__(
        self,
        density: Density,
        primitive: Primitive,
        l_max: int = _DEFAULT["l_max"],
        species: Sequence[int | str] | None = None,
        spline_accuracy: float | None = _DEFAULT["spline_accuracy"],
    ) -> None:
        self.density = density
        self.primitive = primitive
        self.l_max = l_max
        self.species = species
        self.spline_accuracy = spline_accuracy

    def fit(self, frames: FramesLike, y: Any = None) -> Self:
        """Notes the species of `frames`, so that `transform` gives the same channels for any frames."""
        self.species_ = as_native(frames).species()
        return self

    def fit_transform(self, frames: FramesLike, y: Any = None) -> Equivariants:
        """`fit` and `transform`."""
        frames = Frames(as_native(frames))
        return self.fit(frames).transform(frames)

    def radial_functions(
        self, r: ArrayLike, species: int | str | None = None, l: int | None = None
    ) -> np.ndarray | list[np.ndarray]:
        """Primitive radial functions R_nl(r), in Å^(−3/2): [r, n] for this `l`, or a list over l."""
        native = self._expansion(self._known_species())
        return of_l(native.radial_functions(r, only_species(native.species()) if species is None else species), l)

    def radial_integrals(
        self, r: ArrayLike, species: int | str | None = None, l: int | None = None, derivative: bool = False
    ) -> np.ndarray | list[np.ndarray]:
        """Radial integrals, Eq. (5), without spline: [r, n] for this `l`, or a list over l; `derivative` gives d/dr."""
        native = self._expansion(self._known_species())
        tables = native.radial_integrals(r, only_species(native.species()) if species is None else species)
        return of_l(tables[int(derivative)], l)

    def __sklearn_is_fitted__(self) -> bool:
        return self.species is not None or "species_" in self.__dict__

    def _check_species(self) -> None:
        self._known_species()

    def _known_species(self) -> Sequence[int | str]:
        species = self.species if self.species is not None else self.__dict__.get("species_")
        if species is None:
            raise NotFittedError("this SphericalExpansion knows no species yet; give species=..., or call fit(frames)")
        if not hasattr(species, "__len__"):
            raise TypeError(f"species must be a list of atomic numbers or symbols, not {species!r}")
        return list(species)

    def _evaluator(self, frames: _native.Frames) -> _native.Expansion:
        return self._expansion(self._known_species() if self.__sklearn_is_fitted__() else frames.species())

    def _expansion(self, species: Sequence[int | str]) -> _native.Expansion:
        # The tables take longer than a small structure: kept until a parameter changes.
        key = (self._state(), *species)
        cached = self.__dict__.get("_cached")
        if cached is None or cached[0] != key:
            cached = (key, _native.Expansion(self, species))
            self._cached = cached
        return cached[1]

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_cached"}


def _jacobians(
    evaluator: _native.Expansion | _native.Basis, frames: _native.Frames, by: By, memory: int | None
) -> Iterator[Jacobian]:
    channels = evaluator.channels()

    def named(part: tuple[list[np.ndarray], np.ndarray]) -> Jacobian:
        blocks, rows = part
        if by != "positions":
            blocks = [block.reshape(len(block), 3, 3, *block.shape[2:]) for block in blocks]
        return Jacobian(blocks, rows.view(_ROWS)[:, 0], channels)

    # A generator would refuse a bad `by` only when asked for the first part, and keep the last one's memory in use.
    return map(named, evaluator.jacobian(frames, by, memory))
