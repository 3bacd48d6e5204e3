# Proofs of the proofs: each line of proofs/mutants/UNIT changes one place of a copy of the sources, and the unit must then fail.
# Sourced by ci/proofs --mutants. A line: FILE, a sed script, and what survives and why (empty: nothing may), with tabs between.
# shellcheck shell=bash

mutants=0 killed=0 explained=0 mutants_failed=0
mutant=1 use_cache_of_provers=$use_cache
source=$work/mutant generated=$work/mutant/generated

fresh_copy() {
    rm -rf "$source"
    mkdir -p "$source"
    (cd "$repo" && cp -r core sbe mmu devices replay sim metal proofs "$source/")
    generate_tables "$generated"
}

# try_mutant UNIT FILE SED SURVIVES
try_mutant() {
    local unit=$1 path=$2 script=$3 survives=$4 verdict
    cp "$repo/$path" "$source/$path"
    sed -i "$script" "$source/$path"
    if cmp -s "$repo/$path" "$source/$path"; then
        verdict="STALE: the script changes nothing"
        mutants_failed=1
    else
        case $path in sbe/*.def|sbe/isa*) generate_tables "$generated" >/dev/null 2>&1 || true ;; esac
        use_cache=
        if prove "$unit"; then
            if [ -n "$survives" ]; then
                verdict="survives: $survives"
                explained=$((explained + 1))
            else
                verdict="SURVIVES"
                mutants_failed=1
            fi
        elif [[ $trouble == *failed* && $trouble != *"frama-c failed"* || $trouble == "frama-c failed" || $trouble == "gcc failed" ]]; then
            verdict="BROKEN: $trouble"
            mutants_failed=1
        else
            verdict="killed ($trouble)"
            killed=$((killed + 1))
        fi
    fi
    mutants=$((mutants + 1))
    printf '%-12s %-24s %s\n             %s\n' "$unit" "$path" "$script" "$verdict"
    cp "$repo/$path" "$source/$path"
}

fresh_copy || die "the decoder's tables cannot be generated: does the tree build?"
for name in "${names[@]}"; do
    [ -f "$repo/proofs/mutants/$name" ] || continue
    if [ ${#only[@]} -gt 0 ]; then chosen "$name" || continue; fi
    while IFS=$'\t' read -r path script survives <&3; do
        case $path in ''|'#'*) continue ;; esac
        try_mutant "$name" "$path" "$script" "$survives"
    done 3<"$repo/proofs/mutants/$name"
    case $name in scan|decode) generate_tables "$generated" ;; esac
done
say "$killed of $mutants mutants killed; $explained survive and are explained"
[ $((killed * 100)) -ge $((mutants * 95)) ] || { printf 'ci/proofs: fewer than 95 %% of the mutants are killed\n' >&2; mutants_failed=1; }
