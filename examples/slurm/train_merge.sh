#!/bin/bash
# Makes the potential of the parts that train_array.sh has summed. Says which are missing, if any are. It reads the data
# again, for uncertainties and errors.

#SBATCH --job-name=rhobasis-train-merge
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --time=01:00:00

set -eu

rhobasis merge "$WORK"/part-*.rows -o "$WORK/model.rho" --threads "${SLURM_CPUS_PER_TASK:-1}"
