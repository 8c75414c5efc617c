#!/bin/bash
# Adds up the shards that fit_array.sh has made, and writes the basis. Says which shards are missing, if any are.

#SBATCH --job-name=rhobasis-merge
#SBATCH --cpus-per-task=8
#SBATCH --mem=8G
#SBATCH --time=00:30:00

set -eu

rhobasis merge "$WORK"/part-*.cov -o "$WORK/basis.rho" --retain 0.9999 --threads "${SLURM_CPUS_PER_TASK:-1}"
