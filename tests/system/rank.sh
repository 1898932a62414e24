# rank.sh FILE PROGRAM ARGUMENT...: one rank; its standard error goes behind FILE, its process id into FILE.pids.
errors=$1
shift
echo $$ >>"$errors.pids"
exec "$@" 2>>"$errors"
