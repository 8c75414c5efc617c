// SPDX-License-Identifier: GPL-2.0-or-later
// Pair style rhobasis of LAMMPS, as a plugin: potentials that 'rhobasis train' has written.
//
// Local atoms are centres; they and their neighbours, ghosts included, are one structure without periodicity. Forces on ghosts
// go home with LAMMPS' reverse communication.

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "lammps.h"
#include "library.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "pair.h"
#include "update.h"

#include "rhobasis.h"

#include <cstring>
#include <string>
#include <vector>

namespace LAMMPS_NS {

class PairRhobasis : public Pair {
 public:
  explicit PairRhobasis(LAMMPS *);
  ~PairRhobasis() override;
  void settings(int, char **) override;
  void coeff(int, char **) override;
  void init_style() override;
  double init_one(int, int) override { return cutoff; }
  void compute(int, int) override;
  void *extract(const char *, int &) override;
  void *extract_peratom(const char *, int &) override;

 private:
  rhobasis_potential *potential = nullptr;
  double cutoff = 0.0;
  std::vector<uint8_t> element;    // atomic number of each type; 0 where another style handles it
  bool stale = true;               // whether the list has to be adopted whatever its age

  std::vector<int> atoms;    // what the potential sees, centres first: index in LAMMPS of each
  size_t n_centers = 0;
  std::vector<uint8_t> species;
  std::vector<double> positions, energies, forces, virials, of_centers;

  int every = 0;                          // steps between two looks at the extrapolation; 0: never
  double warn_above = 0.0, stop_above = 0.0;
  int wanted = 0;                         // set by fix pair on steps on which it wants the extrapolation
  std::vector<double> extrapolation;      // of each local atom
  bool warned_far = false, warned_close = false;

  void allocate();
  void load(const char *);
  void adopt_list();
  void tally_virials();
  void keep_extrapolation();
  void watch_extrapolation();
  void warn_of_close();
  std::string reason() const;
};

PairRhobasis::PairRhobasis(LAMMPS *lmp) : Pair(lmp)
{
  single_enable = 0;
  restartinfo = 0;
  one_coeff = 1;
  manybody_flag = 1;
  centroidstressflag = CENTROID_AVAIL;
  nextra = 1;    // the largest extrapolation, for compute pair
  pvector = new double[1];
  pvector[0] = 0.0;
}

PairRhobasis::~PairRhobasis()
{
  if (copymode) return;
  rhobasis_free(potential);
  delete[] pvector;
  if (!allocated) return;
  memory->destroy(setflag);
  memory->destroy(cutsq);
  delete[] map;
  map = nullptr;
}

void PairRhobasis::allocate()
{
  const int n = atom->ntypes + 1;
  memory->create(setflag, n, n, "pair:setflag");
  memory->create(cutsq, n, n, "pair:cutsq");
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) setflag[i][j] = 0;
  map = new int[n];
  allocated = 1;
}

// pair_style rhobasis [extrapolation WARN STOP [every N]]
void PairRhobasis::settings(int narg, char **arg)
{
  every = 0;
  if (narg == 0) return;
  const bool named = strcmp(arg[0], "extrapolation") == 0 && (narg == 3 || (narg == 5 && strcmp(arg[3], "every") == 0));
  if (!named)
    error->all(FLERR, "pair_style rhobasis takes no arguments but 'extrapolation WARN STOP every N': the file and its elements "
                      "are named by pair_coeff");
  warn_above = utils::numeric(FLERR, arg[1], false, lmp);
  stop_above = utils::numeric(FLERR, arg[2], false, lmp);
  every = narg == 5 ? utils::inumeric(FLERR, arg[4], false, lmp) : 1;
  if (warn_above <= 0.0 || stop_above < warn_above || every < 1)
    error->all(FLERR, "pair_style rhobasis extrapolation {} {}: give two numbers above zero, the first not above the second, and "
                      "steps from 1 on", arg[1], arg[2]);
  warned_far = false;
}

// pair_coeff * * model.rho Si C NULL
void PairRhobasis::coeff(int narg, char **arg)
{
  if (narg < 4 || strcmp(arg[0], "*") != 0 || strcmp(arg[1], "*") != 0)
    error->all(FLERR, "Give the file of a potential and an element for each atom type: pair_coeff * * model.rho Si C");
  if (!allocated) allocate();
  map_element2type(narg - 3, arg + 3);
  load(arg[2]);
  element.assign(atom->ntypes + 1, 0);
  for (int type = 1; type <= atom->ntypes; type++) {
    if (map[type] < 0) continue;
    element[type] = rhobasis_element(potential, elements[map[type]]);
    if (!element[type]) error->all(FLERR, std::string("Pair style rhobasis: ") + rhobasis_error());
  }
}

// All ranks read the file; where some of them only cannot, these say so.
void PairRhobasis::load(const char *path)
{
  rhobasis_free(potential);
  const std::string found = utils::get_potential_file_path(path);
  potential = rhobasis_load(found.empty() ? path : found.c_str());
  int failed = potential == nullptr, all_failed = 0;
  MPI_Allreduce(&failed, &all_failed, 1, MPI_INT, MPI_MIN, world);
  if (all_failed) error->all(FLERR, std::string("Pair style rhobasis: ") + rhobasis_error());
  if (failed) error->one(FLERR, std::string("Pair style rhobasis: ") + rhobasis_error());
  cutoff = rhobasis_cutoff(potential);
}

void PairRhobasis::init_style()
{
  if (strcmp(update->unit_style, "metal") != 0)
    error->all(FLERR, "Pair style rhobasis is in eV and Angstrom: it needs 'units metal', not '{}'", update->unit_style);
  if (!force->newton_pair)
    error->all(FLERR, "Pair style rhobasis puts forces on ghost atoms: it needs 'newton on'");
  bool hidden = false;    // what both are zero for is not in the list
  for (int k = 1; k < 4; k++) hidden |= force->special_lj[k] == 0.0 && force->special_coul[k] == 0.0;
  if (hidden && atom->molecular && atom->nbonds > 0 && comm->me == 0)
    error->warning(FLERR, "Bonded atoms do not see each other in pair style rhobasis: set special_bonds to 1");
  neighbor->add_request(this, NeighConst::REQ_FULL);
  stale = true;
}

// Takes over LAMMPS' full list, and with it which atoms are seen.
void PairRhobasis::adopt_list()
{
  if (comm->get_comm_cutoff() < cutoff)
    error->all(FLERR, "Ghost atoms reach {} Angstrom, and pair style rhobasis sees {}: enlarge comm_modify cutoff",
               comm->get_comm_cutoff(), cutoff);
  std::vector<int> place(atom->nlocal + atom->nghost, -1);
  n_centers = list->inum;
  atoms.assign(list->ilist, list->ilist + n_centers);
  for (size_t k = 0; k < n_centers; k++) place[atoms[k]] = static_cast<int>(k);
  std::vector<size_t> start(1, 0);
  std::vector<uint32_t> neighbors;
  for (size_t k = 0; k < n_centers; k++) {
    const int *first = list->firstneigh[atoms[k]];
    const int n = list->numneigh[atoms[k]];
    for (int m = 0; m < n; m++) {
      const int j = first[m] & NEIGHMASK;
      if (place[j] < 0) {
        place[j] = static_cast<int>(atoms.size());
        atoms.push_back(j);
      }
      neighbors.push_back(place[j]);
    }
    start.push_back(neighbors.size());
  }
  if (rhobasis_set_neighbors(potential, n_centers, start.data(), neighbors.data()))
    error->one(FLERR, "Pair style rhobasis: " + reason());
  stale = false;
}

void PairRhobasis::compute(int eflag, int vflag)
{
  ev_init(eflag, vflag);
  if (neighbor->ago == 0 || stale) adopt_list();

  const size_t n = atoms.size();
  species.resize(n);
  positions.resize(3 * n);
  for (size_t k = 0; k < n; k++) {
    species[k] = element[atom->type[atoms[k]]];
    memcpy(&positions[3 * k], atom->x[atoms[k]], 3 * sizeof(double));
  }
  double energy = 0.0, total[9] = {0.0};
  const bool of_atoms = vflag_atom || cvflag_atom;
  const bool watched = every > 0 && update->ntimestep % every == 0, graded = watched || wanted;
  of_centers.assign(graded ? n_centers + 1 : 0, 0.0);    // one more, for the address of none is none
  energies.assign(eflag_atom ? n_centers : 0, 0.0);
  forces.assign(3 * n, 0.0);
  virials.assign(of_atoms ? 9 * n : 0, 0.0);
  if (rhobasis_evaluate(potential, n, species.data(), positions.data(), &energy, eflag_atom ? energies.data() : nullptr,
                        forces.data(), total, of_atoms ? virials.data() : nullptr,
                        graded ? of_centers.data() : nullptr))
    error->one(FLERR, "Pair style rhobasis: " + reason());
  if (graded) keep_extrapolation();
  if (watched) watch_extrapolation();
  if (!warned_close) warn_of_close();

  for (size_t k = 0; k < n; k++)
    for (int d = 0; d < 3; d++) atom->f[atoms[k]][d] += forces[3 * k + d];
  if (eflag_global) eng_vdwl += energy;
  if (eflag_atom)
    for (size_t k = 0; k < n_centers; k++) eatom[atoms[k]] += energies[k];
  if (vflag_global) {
    const int order[6] = {0, 4, 8, 1, 2, 5};    // xx yy zz xy xz yz
    for (int c = 0; c < 6; c++) virial[c] += total[order[c]];
  }
  if (of_atoms) tally_virials();
  if (vflag_fdotr) virial_fdotr_compute();
}

// Per-atom virials, as atoms contribute to them as neighbours: all nine components, and their symmetric part.
void PairRhobasis::tally_virials()
{
  const int order[9] = {0, 4, 8, 1, 2, 5, 3, 6, 7};    // xx yy zz xy xz yz yx zx zy
  for (size_t k = 0; k < atoms.size(); k++) {
    const double *w = &virials[9 * k];
    if (vflag_atom) {
      double *sum = vatom[atoms[k]];
      for (int c = 0; c < 3; c++) {
        sum[c] += w[order[c]];
        sum[c + 3] += 0.5 * (w[order[c + 3]] + w[order[c + 6]]);
      }
    }
    if (cvflag_atom)
      for (int c = 0; c < 9; c++) cvatom[atoms[k]][c] += w[order[c]];
  }
}

// In LAMMPS' order; atoms that another style handles have none.
void PairRhobasis::keep_extrapolation()
{
  extrapolation.assign(atom->nlocal + 1, 0.0);
  for (size_t k = 0; k < n_centers; k++) extrapolation[atoms[k]] = of_centers[k];
}

// Ends the run, or warns once, if an atom of any process is too far from what the potential was trained on.
void PairRhobasis::watch_extrapolation()
{
  struct {
    double value;
    int rank;
  } mine = {0.0, comm->me}, largest;
  tagint tag = 0;
  for (size_t k = 0; k < n_centers; k++)
    if (of_centers[k] > mine.value) {
      mine.value = of_centers[k];
      tag = atom->tag_enable ? atom->tag[atoms[k]] : 0;
    }
  MPI_Allreduce(&mine, &largest, 1, MPI_DOUBLE_INT, MPI_MAXLOC, world);
  pvector[0] = comm->me == 0 ? largest.value : 0.0;    // compute pair adds up what processes have
  const bool stops = largest.value > stop_above;
  if (!stops && (warned_far || largest.value <= warn_above)) return;
  warned_far = true;
  MPI_Bcast(&tag, 1, MPI_LMP_TAGINT, largest.rank, world);
  const std::string text = fmt::format("The extrapolation of atom {} is {:.3f} at step {}, above {}", tag, largest.value,
                                       update->ntimestep, stops ? stop_above : warn_above);
  if (stops) error->all(FLERR, text + ": label such frames, and train on them too");
  if (comm->me == 0) error->warning(FLERR, text + ": from now on the potential guesses. This is said once");
}

// Says, once, if atoms are nearer to each other than in training.
void PairRhobasis::warn_of_close()
{
  size_t pair[2];
  double distances[2];
  if (!rhobasis_close(potential, pair, distances)) return;
  warned_close = true;
  tagint tags[2] = {0, 0};
  for (int k = 0; k < 2 && atom->tag_enable; k++) tags[k] = atom->tag[atoms[pair[k]]];
  const std::string known = distances[1] > 0.0
      ? fmt::format("the smallest distance in training is {:.3f}", distances[1])
      : "no training frame had these species within the cutoff of each other";
  error->warning(FLERR, "Atoms {} and {} are {:.3f} Angstrom apart at step {}, and {}: what follows is a guess. This is said once",
                 tags[0], tags[1], distances[0], update->ntimestep, known);
}

// For fix pair: how it asks for the extrapolation on some steps, and where it lies.
void *PairRhobasis::extract(const char *name, int &dim)
{
  dim = 0;
  return strcmp(name, "extrapolation_flag") == 0 ? &wanted : nullptr;
}

void *PairRhobasis::extract_peratom(const char *name, int &columns)
{
  columns = 0;
  return strcmp(name, "extrapolation") == 0 && !extrapolation.empty() ? extrapolation.data() : nullptr;
}

// Why the last call failed, with the ID of the atom, which the potential does not know.
std::string PairRhobasis::reason() const
{
  const int64_t k = rhobasis_error_atom();
  const std::string text = rhobasis_error();
  if (k < 0 || k >= static_cast<int64_t>(atoms.size()) || !atom->tag_enable) return text;
  return text + " (atom " + std::to_string(k) + " has the ID " + std::to_string(atom->tag[atoms[k]]) + " in LAMMPS)";
}

}    // namespace LAMMPS_NS

using namespace LAMMPS_NS;

// As in lammpsplugin.h, which is not installed with the other headers.
struct lammpsplugin_t {
  const char *version, *style, *name, *info, *author;
  void *(*creator)(void *);
  void *handle;
};

// Why the classes of this LAMMPS may not be those of the headers; empty if they are. Asks by functions only: members may lie
// elsewhere.
static std::string difference(void *lmp)
{
  if (lammps_version(lmp) != RHOBASIS_LAMMPS_NUMBER) return std::to_string(lammps_version(lmp));
  const std::string built = RHOBASIS_LAMMPS_GIT, found = LAMMPS::has_git_info() ? LAMMPS::git_descriptor() : "";
  if (!built.empty() && !found.empty() && built != found) return found;
  const bool sizes = lammps_extract_setting(lmp, "bigint") == sizeof(bigint) &&
      lammps_extract_setting(lmp, "tagint") == sizeof(tagint) && lammps_extract_setting(lmp, "imageint") == sizeof(imageint);
  return sizes ? "" : "one with integers of other sizes";
}

extern "C" void lammpsplugin_init(void *lmp, void *handle, void *regfunc)
{
  const std::string other = difference(lmp);
  if (!other.empty()) {
    const std::string text = "Pair style rhobasis is not available: its plugin was built for LAMMPS " RHOBASIS_LAMMPS_VERSION
                             " and this is " + other + "; build it for this one by 'rhobasis lammps --build'";
    if (lammps_extract_setting(lmp, "world_rank") == 0) lammps_error(lmp, 0, text.c_str());
    return;
  }
  lammpsplugin_t plugin;
  plugin.version = RHOBASIS_LAMMPS_VERSION;
  plugin.style = "pair";
  plugin.name = "rhobasis";
  plugin.info = "potentials of rhobasis";
  plugin.author = "the authors of rhobasis";
  plugin.creator = [](void *lmp) -> void * { return new PairRhobasis(static_cast<LAMMPS *>(lmp)); };
  plugin.handle = handle;
  reinterpret_cast<void (*)(lammpsplugin_t *, void *)>(regfunc)(&plugin, lmp);
}
