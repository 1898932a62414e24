#!/bin/sh
# scripts.sh ROOT: jobs/ without any batch system: each template says what it needs and costs, its directives are ones that SLURM and
# PBS have; each site says the same things; gpu.sh gives each rank a GPU of its own in all the ways that launchers leave it;
# what submit.sh would submit; shellcheck, where it is there.
set -u
root=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}
cd "$root" || exit 1

# --- templates ---

# directives FILE WORD: its lines, before the first command, as the batch systems read them.
directives() {
    awk -v word="#$2" '/^[^#]/ { exit } $1 == word { sub(/^[^ ]* /, ""); print }' "$1"
}
slurm_line='^(--(job-name|time|nodes|ntasks-per-node|cpus-per-task|output|open-mode|signal)=[^ ]+|--requeue)( |$)'
pbs_line='^(-N [A-Za-z][A-Za-z0-9_-]{0,14}|-l select=[0-9]+:ncpus=[0-9]+:mpiprocs=[0-9]+|-l walltime=[0-9]{2}:[0-9]{2}:[0-9]{2}|-j oe|-r y)$'
count=0
for template in jobs/slurm/*.sh jobs/pbs/*.sh; do
    count=$((count + 1))
    [ -x "$template" ] || fail "$template cannot be executed"
    [ "$(head -n 1 "$template")" = "#!/bin/bash" ] || fail "$template is not for bash"
    for word in Needs Costs Submit; do
        grep -q "^# $word: " "$template" || fail "$template does not say: $word"
    done
    grep -qE '^#GRADUS size=(gpu|node|nodes)$' "$template" || fail "$template does not say its size"
    [ "$(grep -cE '^#(SBATCH|PBS) ' "$template")" = "$(directives "$template" "$(case $template in */slurm/*) echo SBATCH ;; *) echo PBS ;; esac)" | wc -l)" ] ||
        fail "$template has a directive behind its first command, or of another batch system"
done
[ $count = 10 ] || fail "$count templates"
for template in jobs/slurm/*.sh; do
    directives "$template" SBATCH | tr ' ' '\n' | grep -vE "$slurm_line" && fail "$template: not known to sbatch"
    [ -e "jobs/pbs/$(basename "$template")" ] || fail "jobs/pbs lacks $(basename "$template")"
done
for template in jobs/pbs/*.sh; do
    directives "$template" PBS | grep -vE "$pbs_line" && fail "$template: not known to qsub"
    directives "$template" PBS | grep -q '^-l walltime=' || fail "$template asks for no time"
done

# --- sites ---

grep -o '^site_[a-z_]*' jobs/site.sh | sort >"$work/names"
[ "$(wc -l <"$work/names")" = 13 ] || fail "jobs/site.sh: $(wc -l <"$work/names") names"
for site in jobs/sites/*.sh; do
    grep -o '^site_[a-z_]*' "$site" | sort | diff "$work/names" - || fail "$site does not say what jobs/site.sh says"
done
for site in jobs/site.sh jobs/sites/*.sh; do
    grep -q '^# Tried: ' "$site" || fail "$site does not say whether it was tried"
    awk '/^site_launch/ { inside = 1 } inside && /^ *exec (srun|mpirun|mpiexec) / { found = 1 } END { exit !found }' "$site" ||
        fail "$site: site_launch does not exec its launcher, so signals would not reach it"
done

# --- gpu.sh ---

# gpu VARIABLE=VALUE...: what a rank sees.
gpu() {
    env -u CUDA_VISIBLE_DEVICES -u SLURM_LOCALID -u OMPI_COMM_WORLD_LOCAL_RANK "$@" bash jobs/gpu.sh sh -c 'echo "$CUDA_VISIBLE_DEVICES"' 2>&1
}
see() {
    want=$1
    shift
    have=$(gpu "$@")
    [ "$have" = "$want" ] || fail "gpu.sh with $*: '$have', expected '$want'"
}
for rank in 0 1 2 3; do
    see $rank SLURM_LOCALID=$rank GRADUS_GPUS=4                                      # the launcher says nothing
    see $rank OMPI_COMM_WORLD_LOCAL_RANK=$rank CUDA_VISIBLE_DEVICES=0,1,2,3          # all are visible
    see $((3 - rank)) SLURM_LOCALID=$rank GRADUS_GPUS=4 GRADUS_GPU_ORDER=descending
    see $rank SLURM_LOCALID=$((3 - rank)) CUDA_VISIBLE_DEVICES=$rank GRADUS_GPUS=4   # it has given one already
    see "GPU-$rank" PALS_LOCAL_RANKID=$rank CUDA_VISIBLE_DEVICES=GPU-0,GPU-1,GPU-2,GPU-3
done
see 7 SLURM_LOCALID=1 CUDA_VISIBLE_DEVICES=4,7
gpu SLURM_LOCALID=2 CUDA_VISIBLE_DEVICES=4,7 | grep -q 'has no GPU of its own: there are 2' || fail "gpu.sh lets two ranks share a GPU"
gpu GRADUS_GPUS=4 | grep -q 'does not tell a rank its place' || fail "gpu.sh guesses a rank's place"

# --- submit.sh ---

# would OPTION... : what submit.sh would do on Perlmutter, or on Polaris for jobs/pbs.
sed 's/^site_account=[a-z0-9_]*/site_account=a12/' jobs/sites/perlmutter.sh >"$work/perlmutter.sh"
sed 's/^site_account=[a-z0-9_]*/site_account=a12/' jobs/sites/polaris.sh >"$work/polaris.sh"
would() {
    case "$*" in *jobs/pbs*) site=$work/polaris.sh ;; *) site=$work/perlmutter.sh ;; esac
    GRADUS_SITE=$site bash jobs/submit.sh --dry-run "$@" 2>&1
}
expect() {
    want=$1
    shift
    have=$(would "$@")
    case $have in "$want"*) ;; *) fail "submit.sh $*: $have, expected $want" ;; esac
}
site_part="sbatch --account=a12 --constraint=gpu --qos=regular"
expect "$site_part --nodes=1 --ntasks-per-node=1 --cpus-per-task=32 --gpus-per-node=1 --gpu-bind=none jobs/slurm/train_gpu.sh a.cfg b.c=1" \
    jobs/slurm/train_gpu.sh a.cfg b.c=1
expect "$site_part --nodes=8 --ntasks-per-node=4 --cpus-per-task=32 --gpus-per-node=4 --gpu-bind=none --time=1:00:00 jobs/slurm/train_nodes.sh" \
    --nodes 8 --time 1:00:00 jobs/slurm/train_nodes.sh
expect "qsub -A a12 -q preemptable -l filesystems=home:eagle -l place=scatter -l select=4:ncpus=32:mpiprocs=4:ngpus=4 -v " jobs/pbs/train_nodes.sh a.cfg
[ "$(would --chain 3 jobs/slurm/train_node.sh a.cfg | grep -c -- --dependency=singleton)" = 3 ] || fail "submit.sh --chain 3 makes no chain of 3"
expect "submit.sh: qsub passes no commas" jobs/pbs/train_node.sh a.cfg 'x.y="a,b"'
GRADUS_SITE=jobs/sites/leonardo.sh bash jobs/submit.sh --dry-run jobs/slurm/train_gpu.sh >"$work/out" 2>&1 && fail "submit.sh takes the account of nobody"
grep -q 'write your account into' "$work/out" || fail "submit.sh does not ask for an account: $(cat "$work/out")"

# --- deps.sh ---

# without a network, and with one that brings something else
mkdir "$work/bin"
printf '#!/bin/sh\nexit 6\n' >"$work/bin/curl"
chmod +x "$work/bin/curl"
PATH=$work/bin:$PATH sh jobs/deps.sh "$work/prefix" >"$work/out" 2>&1 && fail "deps.sh builds from nothing"
grep -q 'cannot be fetched: where there is a network run deps.sh --fetch' "$work/out" || fail "deps.sh without network: $(cat "$work/out")"
cat >"$work/bin/curl" <<'END'
#!/bin/sh
while [ "$1" != --output ]; do shift; done
echo something else >"$2"
END
PATH=$work/bin:$PATH sh jobs/deps.sh "$work/prefix" "$work/archives" >"$work/out" 2>&1 && fail "deps.sh builds from anything"
grep -q 'has another checksum than it should' "$work/out" || fail "deps.sh with a wrong archive: $(cat "$work/out")"
[ -z "$(find "$work/prefix" "$work/archives" -type f ! -name '*.part')" ] || fail "deps.sh keeps a wrong archive"

# --- shellcheck ---

if command -v shellcheck >/dev/null 2>&1; then
    shellcheck -x -P SCRIPTDIR -e SC2012 jobs/*.sh jobs/sites/*.sh jobs/slurm/*.sh jobs/pbs/*.sh || fail "shellcheck"
else
    echo "there is no shellcheck: not looked at by it"
fi
exit $((failures > 0))
