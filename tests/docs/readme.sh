#!/bin/sh
# readme.sh ROOT GRADUS: the files, commands, options and parameters that README.md and the guides name exist, README's table of
# commands is that of `gradus --help`, and its picture is small.
. "$(dirname "$0")/lib.sh"

"$gradus" --help | sed -n 's/^  \([a-z]*\)  *\(.*\)$/| `gradus \1` | \2 |/p' >"$work/told"
grep '^| `gradus ' "$root/README.md" >"$work/table"
diff "$work/told" "$work/table" >"$work/diff" || fail "README's table of commands is not that of gradus --help: $(cat "$work/diff")"

for document in README.md CHANGELOG.md input/README jobs/README analysis/README src/README tests/README; do
    names_exist $document
    parameters_exist $document
done
for document in README.md input/README jobs/README analysis/README; do
    commands_exist $document
done

# Links of README lead to files, and its picture is no burden to a clone.
for link in $(grep -oE '\]\([^)#]+\)' "$root/README.md" | tr -d '])('); do
    case $link in
    http*) ;;
    *) [ -e "$root/$link" ] || fail "README.md links to $link, which does not exist" ;;
    esac
done
picture=$(grep -oE '!\[[^]]*\]\([^)]+\)' "$root/README.md" | sed 's/.*(//; s/)//')
[ "$(printf '%s\n' "$picture" | wc -l)" = 1 ] || fail "README has not one picture: $picture"
[ "$(wc -c <"$root/$picture")" -lt 120000 ] || fail "$picture is larger than 120 kB"

# Folders that src/README explains are those of src.
for folder in "$root"/src/*/; do
    grep -qE "^    $(basename "$folder") " "$root/src/README" || fail "src/README does not explain src/$(basename "$folder")"
done
finish
