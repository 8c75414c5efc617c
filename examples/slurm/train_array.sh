#!/bin/bash
# One potential from many nodes: each task of this array job sums the rows of one shard of the training set, train_merge.sh
# makes the potential of all. For ridge models; [basis] of the model file is best a file, which fit_array.sh can make.
#
#   export MODEL=$PWD/model.toml WORK=$PWD/parts N_SHARDS=16
#   array=$(sbatch --parsable --array=1-$N_SHARDS train_array.sh)
#   sbatch --dependency=afterok:$array train_merge.sh
#
# A task that is preempted, killed or out of time goes on from its checkpoint when it is queued again, and its part has the
# same bits as if nothing had happened. To repeat single tasks: sbatch --array=3,7 train_array.sh, with the same N_SHARDS.

#SBATCH --job-name=rhobasis-train
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G           # rhobasis states what it needs in the first lines of its log; --dry-run does before
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

set -eu

mkdir -p "$WORK"
i=$SLURM_ARRAY_TASK_ID
part=$WORK/part-$i.rows

if [ -e "$part" ]; then
    echo "$part is there already"
    exit 0
fi

# The number of shards is not taken from Slurm: it would change when only some of the tasks are repeated.
rhobasis train "$MODEL" --shard "$i/$N_SHARDS" -o "$part" \
    --checkpoint "$WORK/part-$i.ckpt" --threads "${SLURM_CPUS_PER_TASK:-1}"
