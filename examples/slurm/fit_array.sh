#!/bin/bash
# One basis from many nodes: each task of this array job accumulates one shard of the data, merge.sh adds them up.
#
#   export DATA=$PWD/data.xyz.xz WORK=$PWD/parts N_SHARDS=16
#   array=$(sbatch --parsable --array=1-$N_SHARDS fit_array.sh)
#   sbatch --dependency=afterok:$array merge.sh
#
# A task that is preempted, killed or out of time goes on from its checkpoint when it is queued again, and its part has the
# same bits as if nothing had happened. To repeat single tasks: sbatch --array=3,7 fit_array.sh, with the same N_SHARDS.

#SBATCH --job-name=rhobasis-fit
#SBATCH --cpus-per-task=8
#SBATCH --mem=4G            # rhobasis states what it needs in the first line of its log
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

set -eu

# The same for all shards: merge refuses parts that were made with different settings.
SETTINGS=(--r-cut 5 --sigma 0.3 --n-max 12 --l-max 4 --mixing combined)

mkdir -p "$WORK"
i=$SLURM_ARRAY_TASK_ID
part=$WORK/part-$i.cov

if [ -e "$part" ]; then
    echo "$part is there already"
    exit 0
fi

# The number of shards is not taken from Slurm: it would change when only some of the tasks are repeated.
rhobasis fit "$DATA" --shard "$i/$N_SHARDS" -o "$part" \
    --checkpoint "$WORK/part-$i.ckpt" --threads "${SLURM_CPUS_PER_TASK:-1}" "${SETTINGS[@]}"
