// Potentials of rhobasis in C. Made by cbindgen from src/lib.rs: change that, then RHOBASIS_WRITE_HEADER=1 cargo test -p rhobasis-capi

#ifndef RHOBASIS_H
#define RHOBASIS_H

#include <stddef.h>
#include <stdint.h>

// A potential, with the pairs that the engine has listed. It serves one thread at a time.
typedef struct rhobasis_potential rhobasis_potential;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Reads a potential, as 'rhobasis train' writes it. NULL on failure. To be given to rhobasis_free in the end.
//
// # Safety
// `path` is a text that ends with 0.
struct rhobasis_potential *rhobasis_load(const char *path);

// Frees what rhobasis_load gave; NULL is left alone.
//
// # Safety
// `potential` is from `rhobasis_load` and has not been freed.
void rhobasis_free(struct rhobasis_potential *potential);

// Distance beyond which atoms do not see each other, in Å.
//
// # Safety
// `potential` is from `rhobasis_load`.
double rhobasis_cutoff(const struct rhobasis_potential *potential);

// Writes the atomic numbers that it knows, ascending, and returns how many there are.
//
// # Safety
// `potential` is from `rhobasis_load`; `species` has room for 128.
size_t rhobasis_species(const struct rhobasis_potential *potential, uint8_t *species);

// Atomic number of a chemical symbol, as in "Si"; 0 if there is no such element, or the potential does not know it.
//
// # Safety
// `potential` is from `rhobasis_load`; `symbol` is a text that ends with 0.
uint8_t rhobasis_element(const struct rhobasis_potential *potential, const char *symbol);

// Adopts the list of pairs that the engine has made, until the next one. Atoms 0 to n_centers - 1 are centres, whose energies are
// wanted, and neighbor[start[i]] to neighbor[start[i + 1] - 1] are all atoms nearer to centre i than the cutoff; atoms further
// away may be among them, i itself may not. Images of centres are atoms of their own, with an index from n_centers on. Both
// arrays are copied. Returns 0, or -1 on failure.
//
// # Safety
// `potential` is from `rhobasis_load`; `start` has n_centers + 1 numbers, `neighbor` as many as the last of them says.
int32_t rhobasis_set_neighbors(struct rhobasis_potential *potential,
                               size_t n_centers,
                               const size_t *start,
                               const uint32_t *neighbor);

// Energy of the centres, forces on all atoms, and the virial, for atoms at these positions, of which the list was told by
// rhobasis_set_neighbors. Results are added to what stands in the arrays; NULL leaves one out.
//
// - species: atomic number of each atom. positions: x, y, z of each.
// - energy: their sum, that of free atoms included. energies: of each centre.
// - forces: x, y, z for each atom; those of images are to be added to the atoms that they are images of.
// - virial: W = -dE/dstrain, xx xy xz yx yy yz zx zy zz, symmetric; the pressure is trace(W)/3V without motion.
// - virials: nine numbers for each atom j, W_j = -sum over i of r_ji (x) dE_i/dr_ji with r_ji = r_j - r_i, whose first index
//   goes with r_ji; their sum is W. The flux of heat that forces carry is the sum of W_j v_j.
// - extrapolation: how far each centre lies outside of what the potential was trained on; above 1 it extrapolates. It costs some
//   20 % of a call; NULL costs nothing. Kernel ridge models do not know it.
//
// Returns 0, or -1 on failure.
//
// # Safety
// `potential` is from `rhobasis_load`; arrays are as long as they are said to be.
int32_t rhobasis_evaluate(struct rhobasis_potential *potential,
                          size_t n_atoms,
                          const uint8_t *species,
                          const double *positions,
                          double *energy,
                          double *energies,
                          double *forces,
                          double *virial,
                          double *virials,
                          double *extrapolation);

// Whether two atoms of the last evaluation are nearer to each other than any of their species were in training, so that its results
// are a guess: 1 if so, else 0. Of the worst pair, writes the indices of both atoms into atoms, and into distances theirs and the
// smallest of training, which is 0 if no training frame had such a pair within the cutoff.
//
// # Safety
// `potential` is from `rhobasis_load`; `atoms` and `distances` have room for two.
int32_t rhobasis_close(const struct rhobasis_potential *potential,
                       size_t *atoms,
                       double *distances);

// Version of the library, as in "0.1.0".
const char *rhobasis_version(void);

// Why the last call of this thread that failed did so; valid until the next one fails. Empty if none has.
const char *rhobasis_error(void);

// Index of the atom that the message is about, in the order of the call; -1 if it is about none.
int64_t rhobasis_error_atom(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* RHOBASIS_H */
