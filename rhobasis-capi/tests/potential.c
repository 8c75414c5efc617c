// Evaluates a potential for atoms in a file, as an engine would, and prints all that it gives.
#include <stdio.h>
#include <stdlib.h>

#include "rhobasis.h"

static void print(const char *name, const double *x, size_t n) {
    printf("%s", name);
    for (size_t i = 0; i < n; ++i) printf(" %.17g", x[i]);
    printf("\n");
}

static double *zeros(size_t n) { return calloc(n ? n : 1, sizeof(double)); }

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    rhobasis_potential *none = rhobasis_load("missing.rho");
    printf("missing %d %s\n", none == NULL, rhobasis_error());
    rhobasis_potential *potential = rhobasis_load(argv[1]);
    if (!potential) {
        printf("refused %s\n", rhobasis_error());
        return 1;
    }
    uint8_t species[128];
    size_t n_species = rhobasis_species(potential, species);
    printf("knows %zu %d %d %d\n", n_species, species[0], rhobasis_element(potential, "Si"), rhobasis_element(potential, "Xx"));
    printf("element %s\n", rhobasis_error());
    double cutoff = rhobasis_cutoff(potential);
    print("cutoff", &cutoff, 1);

    FILE *file = fopen(argv[2], "r");
    size_t n_centers, n_atoms, n_pairs;
    if (!file || fscanf(file, "%zu %zu %zu", &n_centers, &n_atoms, &n_pairs) != 3) return 2;
    uint8_t *z = malloc(n_atoms);
    double *r = zeros(3 * n_atoms);
    size_t *start = calloc(n_centers + 1, sizeof(size_t));
    uint32_t *neighbor = calloc(n_pairs, sizeof(uint32_t));
    for (size_t i = 0; i < n_atoms; ++i) {
        if (fscanf(file, "%hhu %lf %lf %lf", z + i, r + 3 * i, r + 3 * i + 1, r + 3 * i + 2) != 4) return 2;
    }
    for (size_t i = 0; i <= n_centers; ++i) {
        if (fscanf(file, "%zu", start + i) != 1) return 2;
    }
    for (size_t k = 0; k < n_pairs; ++k) {
        if (fscanf(file, "%u", neighbor + k) != 1) return 2;
    }
    fclose(file);

    double energy = 0.0, virial[9] = {0.0};
    double *energies = zeros(n_centers), *forces = zeros(3 * n_atoms), *virials = zeros(9 * n_atoms);
    double *grades = zeros(n_centers);
    int failed = rhobasis_evaluate(potential, n_atoms, z, r, &energy, NULL, NULL, NULL, NULL, NULL);
    printf("early %d %s\n", failed, rhobasis_error());
    if (rhobasis_set_neighbors(potential, n_centers, start, neighbor)) return 1;
    if (rhobasis_evaluate(potential, n_atoms, z, r, &energy, energies, forces, virial, virials, grades)) {
        printf("refused %s\n", rhobasis_error());
        return 1;
    }
    print("energy", &energy, 1);
    print("energies", energies, n_centers);
    print("forces", forces, 3 * n_atoms);
    print("virial", virial, 9);
    print("virials", virials, 9 * n_atoms);
    print("extrapolation", grades, n_centers);
    size_t pair[2];
    double distances[2];
    printf("far %d\n", rhobasis_close(potential, pair, distances));

    double again = energy; // added up
    if (rhobasis_evaluate(potential, n_atoms, z, r, &again, NULL, NULL, NULL, NULL, NULL)) return 1;
    again -= energy;
    print("again", &again, 1);
    for (size_t i = 0; i < n_centers; ++i) grades[i] = 0.0;
    if (rhobasis_evaluate(potential, n_atoms, z, r, &again, NULL, NULL, NULL, NULL, grades)) return 1;
    print("lone", grades, n_centers);
    double *other = r + 3 * neighbor[0], kept[3] = {other[0], other[1], other[2]};
    other[0] = r[0] + 1.7, other[1] = r[1], other[2] = r[2]; // nearer than in training
    if (rhobasis_evaluate(potential, n_atoms, z, r, &again, NULL, NULL, NULL, NULL, NULL)) return 1;
    if (rhobasis_close(potential, pair, distances))
        printf("close %zu %zu %.17g %.17g\n", pair[0], pair[1], distances[0], distances[1]);
    for (int d = 0; d < 3; ++d) other[d] = r[d];
    failed = rhobasis_evaluate(potential, n_atoms, z, r, &again, NULL, forces, NULL, NULL, NULL);
    printf("touching %d %ld %s\n", failed, (long)rhobasis_error_atom(), rhobasis_error());
    print("unchanged", forces, 3);
    for (int d = 0; d < 3; ++d) other[d] = kept[d];
    z[0] = 3;
    failed = rhobasis_evaluate(potential, n_atoms, z, r, &again, NULL, NULL, NULL, NULL, NULL);
    printf("species %d %s\n", failed, rhobasis_error());
    start[1] = n_pairs + 7;
    failed = rhobasis_set_neighbors(potential, n_centers, start, neighbor);
    printf("list %d %s\n", failed, rhobasis_error());
    rhobasis_free(potential);
    rhobasis_free(NULL);
    free(z), free(r), free(start), free(neighbor), free(energies), free(forces), free(virials), free(grades);
    return 0;
}
