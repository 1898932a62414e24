# goals.awk: what benches.sh and lab/bench_rows print, against the goals: a line each with the goal, what was found, and whether it
# is met. The last line says how many are missed. A goal whose figure is not in the input was not measured, which is no miss.

# found NAME VALUE
function found(name, value) { have[name] = value }

function goal(name, least, unit) {
    names[++count] = name
    goals[name] = least
    units[name] = unit
}

# before WORDS: the number that stands before them in the line
function before(words,   head, n, parts) {
    head = substr($0, 1, index($0, words) - 1)
    n = split(head, parts, " ")
    return parts[n] + 0
}

BEGIN {
    goal("0.5b, forward + backward", 45, "% of the peak")
    goal("1.5b, forward + backward", 50, "% of the peak")
    goal("7b, adapter, forward + backward", 423, "TFLOP/s")
    split("1 64 256 512", answers, " ")
    split("0.5b 7b", sizes, " ")
    for (s = 1; s <= 2; s++)
        for (a = 1; a <= 4; a++)
            goal(sizes[s] ", decode " answers[a], 60, "% of the floor")
    for (s = 1; s <= 2; s++) {
        goal(sizes[s] ", head", 0.88, "of the bare products")
        goal(sizes[s] ", head, gradient", 0.88, "of the bare products")
    }
    goal("AdamW", 85, "% of a copy")
}

/^shape / {
    size = $2
    sub(/,$/, "", size)
    sub(/.*qwen2\.5-/, "", size)
    adapter = ""
}
/^with an adapter of rank / { adapter = ", adapter" }
/^forward \+ backward / {
    found(size adapter ", forward + backward", adapter == "" ? before(" % of the peak") : before(" TFLOP/s"))
}
/^decode .* of the floor/ { found(size ", decode " $2, before(" % of the floor")) }
/^head .* as runs take it$/ { found(size ", head", before(" of their speed")) }
/^head, gradient .* as runs take it$/ { found(size ", head, gradient", before(" of their speed")) }
/^adamw / { found("AdamW", $NF + 0) }

END {
    printf "%-32s %8s %8s %-22s %s\n", "goal", "least", "found", "", "met"
    for (i = 1; i <= count; i++) {
        name = names[i]
        measured = name in have
        met = measured && have[name] >= goals[name]
        printf "%-32s %8s %8s %-22s %s\n", name, goals[name], measured ? have[name] : "-", units[name],
               !measured ? "not measured" : met ? "yes" : "no"
        missed += measured && !met
        absent += !measured
    }
    printf "goals: %d met, %d missed, %d not measured\n", count - missed - absent, missed, absent
}
