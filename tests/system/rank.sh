# rank.sh FILE PROGRAM ARGUMENT...: one rank; its standard error goes behind FILE, its process id into FILE.pids. With
# FAULT_LIBRARY that library is loaded before the program (fault.c). With SYSTEM_NOISE it says first what MPI libraries say
# on machines that hide their hardware, so that no test counts on silence. RANK_SETUP is run before, which can give ranks different
# environments.
errors=$1
shift
echo $$ >>"$errors.pids"
[ -z "${SYSTEM_NOISE:-}" ] || printf 'hwloc: cannot read /sys\n----\nwarning: no cores found\nerror: none of ours\n' >>"$errors"
[ -z "${FAULT_LIBRARY:-}" ] || export LD_PRELOAD="$FAULT_LIBRARY"
[ -z "${RANK_SETUP:-}" ] || eval "$RANK_SETUP"
exec "$@" 2>>"$errors"
