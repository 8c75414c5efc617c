"""What all invariant features share: a matrix with a row for each atom or frame, and its derivatives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from . import _native
from ._arguments import bytes_of, frames_of, one_array
from ._base import Parameters
from ._centers import CentersLike, Precision, UnknownSpecies, chosen, ignores, is_single, portions, table_of
from ._errors import NotFittedError, RhobasisError
from ._feature_jacobian import FeatureJacobian, jacobians, jacobians_by_species
from ._output import MatrixOutput, channel_names, tags_of_frames
from .density import _ROWS, By, Evaluator
from .structure import Frames, as_native

if TYPE_CHECKING:
    from typing_extensions import Self

    from .structure import FramesLike


Reduce: TypeAlias = Literal["sum", "mean"]


class Invariants(MatrixOutput, Parameters):
    """What all invariant features share: a matrix with a row for each atom, and its derivatives.

    `basis` is an `OptimalBasis` or a `SphericalExpansion`. One that was fitted or loaded before it was handed over is
    used as it is, and refused if its settings have been changed since. Of one that was not, `fit` fits a copy, anew
    each time, `basis_`; `basis` itself stays as it is. Of a `SphericalExpansion` that knows no species, `fit` notes
    those of the frames, so that all frames have the same columns.

    For scikit-learn these are transformers from frames to a matrix, whose rows are atoms (`centers` says which): what
    follows in a pipeline learns of atoms. With `reduce`, "sum" or "mean", rows are frames: the features of their atoms
    summed, or divided by their number too; no array of all atoms exists. With `by_species`, atoms of each species are
    summed apart, into a block of columns for each species that the basis knows, by ascending number, zeros where a
    frame has none. A mean is over all atoms of the frame here too, so that the blocks add up to the row without them.

    With ``set_output(transform="pandas")`` rows are named by
    structure and atom, and columns by `get_feature_names_out`. `clone` keeps a basis that was handed over fitted.

    `normalize` divides each row by its norm; a row of zeros stays one. With None, the default, `transform` does not,
    and a `Potential` does for kernels.

    `q_max` and `l_max` make the features of a part of the coefficients: of so many channels of each species and l, the
    leading ones, and of l up to this one. Columns keep the numbers that channels have in the whole basis. `weight`
    multiplies the features, after normalisation: how much they count beside others in a `Potential` of several kinds.
    A `Potential` sums over atoms itself, and takes no `reduce`; `backward`, `tangent` and `jacobian` are of the
    features of atoms, whatever `reduce` is.
    """

    _parts = ("basis",)
    _kind: Literal["radial-spectrum", "power-spectrum", "bispectrum", "nice"]
    basis: Evaluator
    normalize: bool | None
    q_max: int | None
    l_max: int | None
    weight: float
    reduce: Reduce | None
    by_species: bool

    def fit(self, frames: FramesLike, y: Any = None) -> Self:
        """Fits a copy of `basis`, unless that is fitted, handing `y` on to it; there is nothing else to learn."""
        self._check_basis()
        self.__dict__.pop("_own", None)
        if self.basis.__sklearn_is_fitted__():
            self.basis._check_settings()
        else:
            self._own = self.basis._unfitted().fit(frames, y)
        return self

    def fit_transform(self, frames: FramesLike, y: Any = None) -> Any:
        """`fit` and `transform`."""
        frames = Frames(as_native(frames, everything=y is None, lenient=True))  # labels, for a supervised basis
        return self.fit(frames, y).transform(frames)

    @property
    def basis_(self) -> Evaluator:
        """The fitted basis: `basis` if it was handed over fitted, else the copy of it that `fit` has fitted."""
        self._check_basis()
        basis = self._used_basis()
        if not basis.__sklearn_is_fitted__():
            raise NotFittedError(f"this {type(self).__name__} has not been fitted; call fit(frames) first")
        return basis

    def _used_basis(self) -> Evaluator:
        own: Evaluator | None = self.__dict__.get("_own")
        if own is None or type(own) is not type(self.basis) or self.basis.__sklearn_is_fitted__():
            return self.basis
        for name in own._names():  # those that may change after the fit have an effect, others are refused
            setattr(own, name, getattr(self.basis, name))
        return own

    def __sklearn_is_fitted__(self) -> bool:
        return self._used_basis().__sklearn_is_fitted__()

    def _unfitted(self) -> Self:
        unfitted = super()._unfitted()
        if "_sklearn_output_config" in self.__dict__:
            unfitted._sklearn_output_config = dict(self._sklearn_output_config)
        return unfitted

    def _twin(self) -> Self:
        twin = self._unfitted()
        if "_own" in self.__dict__:
            twin._own = self._own._twin()
        return twin

    def __sklearn_clone__(self) -> Self:
        return self._unfitted()

    def __sklearn_tags__(self) -> Any:
        return tags_of_frames("transformer")

    def transform(
        self,
        frames: FramesLike,
        progress: bool = False,
        reduce: Reduce | None = None,
        by_species: bool | None = None,
        centers: CentersLike | None = None,
        dtype: Precision = "float64",
        unknown_species: UnknownSpecies = "error",
    ) -> Any:
        """Features of all atoms of `frames`, in order: [center, column], as an array or what `set_output` says.

        Parameters
        ----------
        frames : Atoms, list of Atoms, Frames or path
            In Å.
        progress : bool, default False
            Whether to show a bar on standard error.
        reduce, by_species : optional
            Those of the constructor, unless they are given. With "sum" or "mean", rows are frames:

                X_A = Σ_{i∈A} X_i,  or 1/N_A of it;      by species    X_A^a = Σ_{i∈A, a_i=a} X_i,  or 1/N_A of it

            in memory that does not grow with the number of atoms. Rows of frames without atoms are zero.
        centers : optional
            The atoms whose features are computed, the others being neighbours only; rows stay in the order of the
            atoms, and sums and N_A are over these. One of

            - a species or a list of species, "Si", 14 or ["Si", "C"], which must occur;
            - for each frame a list of indices, [[0, 5], [], [2]], or a mask of its atoms;
            - a mask of the atoms of all frames, one after the other.
        dtype : {"float64", "float32"}, default "float64"
            Of the result. Everything is computed in double precision, and rounded at the end, a few atoms at a time.
        unknown_species : {"error", "ignore"}, default "error"
            What becomes of neighbours of species that the basis does not know: they are refused, or left out as if
            they were not there. As centres such atoms are refused either way, since their own density has no channel:
            choose `centers` of others.

        Raises
        ------
        RhobasisError
            For another `reduce` or `dtype`, `by_species` without `reduce`, species that do not occur, atoms that do
            not exist, a mask of another length, species that the basis does not know, and frames that cannot be used.

        Examples
        --------

        >>> import rhobasis as rb
        >>> from ase.build import molecule
        >>> frames = [molecule("H2O"), molecule("CH4")]
        >>> soap = rb.PowerSpectrum(rb.SphericalExpansion(rb.Density(r_cut=4.0), rb.Gto(n_max=2), l_max=1)).fit(frames)
        >>> soap.transform(frames).shape, soap.transform(frames, reduce="mean").shape
        ((8, 42), (2, 42))
        >>> soap.transform(frames, reduce="sum", by_species=True).shape  # blocks of H, C, O
        (2, 126)
        >>> soap.transform(frames, centers=["C", "O"]).shape, soap.transform(frames, centers=[[1], [0, 2]]).shape
        ((2, 42), (3, 42))
        >>> soap.transform(frames, dtype="float32").dtype
        dtype('float32')
        >>> soap.transform(molecule("CH3Cl"), centers=["C", "H"], unknown_species="ignore").shape  # as of CH3
        (4, 42)
        """
        native = as_native(frames)
        how, around = self._reduction(reduce, by_species), chosen(native, centers)
        request = is_single(dtype), ignores(unknown_species)

        def index(pandas: Any) -> Any:
            if how is not None:
                return pandas.RangeIndex(len(native), name="structure")
            rows, names = table_of(native, around), ["structure", "atom"]
            return pandas.MultiIndex.from_arrays([rows[name] for name in names], names=names)

        names = None if how is None else lambda: self._names_of_columns(how[1])
        return self._contained(self._rows(native, progress, how, around, request), index, names)

    def _reduction(self, reduce: Reduce | None = None, by_species: bool | None = None) -> tuple[str, bool] | None:
        """How rows become those of frames; None if they stay those of atoms."""
        reduce = self.reduce if reduce is None else reduce
        by_species = self.by_species if by_species is None else by_species
        if reduce is not None:
            return str(reduce), bool(by_species)
        if by_species:
            problem = "atoms of each species are summed apart, and nothing is summed"
            raise RhobasisError(f'by_species = {by_species}: {problem}; give reduce="sum" or "mean", or leave it out')
        return None

    def _rows(
        self,
        native: _native.Frames,
        progress: bool,
        how: tuple[str, bool] | None,
        centers: _native.Centers | None,
        request: tuple[bool, bool],
    ) -> np.ndarray:
        invariants = self._native(native)

        def rows(frames: _native.Frames, centers: _native.Centers | None) -> np.ndarray:
            if how is None:
                return invariants.forward(frames, centers, *request)[0]
            return invariants.per_structure(frames, *how, centers, *request)

        parts = [rows(frames, around) for _, frames, around in portions(native, centers, progress)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def centers(self, frames: FramesLike, centers: CentersLike | None = None) -> np.ndarray:
        """What the rows of atoms are: structured array with fields ``structure``, ``atom``, ``species``.

        `centers` as in `transform`.
        """
        native = as_native(frames)
        return table_of(native, chosen(native, centers))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns, their l and channels (species, n): l0_H0_O1, …; `input_features` is not looked at.

        Channels of all species combined are q0, q1, …; columns of NICE are nu1_0, …, nu2_0, … With `reduce` and
        `by_species` each begins with the species of the atoms that are summed: H_l0_H0_O1.
        """
        how = self._reduction()
        return self._names_of_columns(how is not None and how[1])

    def _names_of_columns(self, by_species: bool) -> np.ndarray:
        names = self._names_of_features()
        if not by_species:
            return names
        species = (_native.SYMBOLS[z] for z in self._native(None).species())
        return np.array([f"{symbol}_{name}" for symbol in species for name in names], dtype=object)

    def _names_of_features(self) -> np.ndarray:
        """Names of the columns of atoms."""
        channels = [channel_names(table.tolist(), _native.SYMBOLS) for table in self.channels_]
        n_l = 3 if self._kind == "bispectrum" else 1
        names = []
        for column in self.columns_.tolist():
            ls, of_l = column[:n_l], column[n_l:]
            ls_of_channels = ls if n_l == 3 else ls * len(of_l)
            chosen = [channels[l][channel] for l, channel in zip(ls_of_channels, of_l, strict=True)]
            names.append("_".join([*(f"l{l}" for l in ls), *chosen]))
        return np.array(names, dtype=object)

    @property
    def n_features_out_(self) -> int:
        """Number of columns of `transform`."""
        how = self._reduction()
        blocks = len(self._native(None).species()) if how is not None and how[1] else 1
        return blocks * len(self.columns_)

    @property
    def columns_(self) -> np.ndarray:
        """What the columns of atoms are, a row for each; see the class for the fields."""
        return self._native(None).columns()

    @property
    def channels_(self) -> list[np.ndarray]:
        """For each l what its channels are: [channel, 2] of (neighbour species, n), species 0 being all combined."""
        return self._native(None).channels()

    def backward(self, frames: FramesLike, gradient: ArrayLike) -> tuple[list[np.ndarray], np.ndarray]:
        """Forces −dE/dr ([atoms, 3] for each frame) and virials −dE/dε ([frames, 3, 3]), given dE/dX.

        `gradient` is [center, column]; or [column], the weights of a linear model, alike for all centres, which takes
        no memory that grows with centres times columns.

        >>> import rhobasis as rb
        >>> from ase.build import molecule
        >>> soap = rb.PowerSpectrum(rb.SphericalExpansion(rb.Density(r_cut=4.0), rb.Gto(n_max=3), l_max=2))
        >>> w = np.ones(soap.fit(molecule("H2O")).transform(molecule("H2O")).shape[1])
        >>> forces, virials = soap.backward(molecule("H2O"), w)  # of E = Σ_i w·X_i
        >>> forces[0].shape, virials.shape
        ((3, 3), (1, 3, 3))

        Raises `RhobasisError` for another shape, or where forces are not finite.
        """
        native = as_native(frames)
        if not isinstance(gradient, np.ndarray):
            gradient = np.asarray(gradient)
        return self._native(native).backward(native, gradient)

    def tangent(
        self, frames: FramesLike, velocities: ArrayLike | Sequence[ArrayLike], strain: ArrayLike | None = None
    ) -> np.ndarray:
        """dX/dt along one motion, [center, column]: the Jacobian times a vector.

        `velocities` is dr/dt ([atom, 3] over the atoms of all frames, or such an array for each frame), `strain` is
        dε/dt ([frame, 3, 3]), as for `SphericalExpansion.tangent`.
        """
        native = as_native(frames)
        velocities = one_array(velocities, native.n_atoms())
        return self._native(native).tangent(native, velocities, frames_of(strain))[0]

    def jacobian(self, frames: FramesLike, by: By = "positions") -> FeatureJacobian:
        """All derivatives of the features, in memory; `jacobian_parts` gives them piece by piece.

        By "positions": dX_i/dr_j. By "strain": dX/dε_pq for r → r(1 + ε), cell → cell(1 + ε), not symmetrised. By
        "cell": dX/dH_pq, lattice vectors in rows, Cartesian positions fixed. Forces cost far less with `backward`.

        >>> import rhobasis as rb
        >>> from ase.build import molecule
        >>> soap = rb.PowerSpectrum(rb.SphericalExpansion(rb.Density(r_cut=4.0), rb.Gto(n_max=3), l_max=2))
        >>> soap.jacobian(molecule("H2O"))
        FeatureJacobian(9 rows, 63 columns)
        """
        native = as_native(frames)
        invariants = self._native(native)
        for everything in jacobians(invariants, native, by, None):
            return everything
        axes = (3,) if by == "positions" else (3, 3)
        return FeatureJacobian(np.zeros((0, *axes, invariants.n_features())), np.zeros(0, _ROWS))

    def jacobian_by_species(self, frames: FramesLike) -> dict[str, FeatureJacobian]:
        """All derivatives dX_i/dr_j in memory, without most of the zeros: by the species of atom j.

        A neighbour changes only the features that its own species is in, so that with four species more than half
        of `jacobian` is zeros. Here ``"center"`` has the rows in which the centre itself moves, and each symbol of an
        element those in which a neighbour of this element does, with the features that can change: `columns` of each
        part names them. Where channels of a basis mix species, or features are normalised, each atom changes all.

        >>> import rhobasis as rb
        >>> from ase.build import molecule
        >>> soap = rb.PowerSpectrum(rb.SphericalExpansion(rb.Density(r_cut=4.0), rb.Gto(n_max=3), l_max=2))
        >>> soap.jacobian_by_species(molecule("H2O"))["H"]
        FeatureJacobian(4 rows, 45 columns)
        """
        native = as_native(frames)
        return jacobians_by_species(self._native(native), native)

    def jacobian_parts(
        self, frames: FramesLike, by: By = "positions", memory: float = 4e6
    ) -> Iterator[FeatureJacobian]:
        """The Jacobian in parts of at most `memory` bytes (or one centre), centres in order.

        Memory of parts that are no longer used is used again; parts that are kept stay as they are.
        """
        native = as_native(frames)
        return jacobians(self._native(native), native, by, bytes_of(memory))

    def _native(self, frames: _native.Frames | None) -> _native.Invariants:
        self._check_basis()
        basis = self._used_basis()
        if frames is None:
            basis._check_species()
        evaluator = basis._evaluator(_native.Frames.from_atoms([], False) if frames is None else frames)
        settings = self._settings(bool(self.normalize))
        key = (evaluator, repr(settings))
        cached = self.__dict__.get("_cached")
        if cached is None or cached[0] != key:
            cached = (key, _native.Invariants(settings, evaluator))
            self._cached = cached
        return cached[1]

    def _settings(self, normalize: bool) -> dict[str, Any]:
        """As the library takes them."""
        columns = getattr(self, "columns", None)
        columns = columns.tolist() if isinstance(columns, np.ndarray) else columns
        names = ("q_max", "l_max", "weight")
        own = {name: getattr(self, name) for name in names}
        return {"kind": self._kind, "columns": columns, "normalize": normalize, **own}

    def _check_basis(self) -> None:
        if not isinstance(self.basis, Evaluator):
            raise TypeError(f"basis must be an OptimalBasis or a SphericalExpansion, not {self.basis!r}")

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_cached"}
