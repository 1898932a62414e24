# rank.sh FILE PROGRAM ARGUMENT...: one rank; its standard error goes behind FILE, its process id into FILE.pids. With
# FAULT_LIBRARY that library is loaded before the program (fault.c).
errors=$1
shift
echo $$ >>"$errors.pids"
[ -z "${FAULT_LIBRARY:-}" ] || export LD_PRELOAD="$FAULT_LIBRARY"
exec "$@" 2>>"$errors"
