#!/usr/bin/env bash
# `reprise verify` finds a planted fault and names its instruction:
#   verify_planted_test.sh VERIFY_FAULTY IMAGE KIND ICOUNT EVERY FOUND WORD
# FOUND is the icount of the last equal state that it must name, WORD what the report must show as different.
set -u
program=$1 image=$2 kind=$3 icount=$4 every=$5 found=$6 word=$7
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
fail() { echo "FAIL: $*" >&2; cat "$work/report" >&2; exit 1; }

options=(--kernel "$image" -m 64M --debug-exit --every "$every")
REPRISE_FAULT=$kind@$icount "$program" verify --engines interp,faulty "${options[@]}" >"$work/out" 2>"$work/report"
code=$?
[ $code = 16 ] || fail "exit code $code instead of 16"
grep -q "the same after $found instructions, different after $((found + 1))\$" "$work/report" || fail "not at $found"
grep -q "^\* $word" "$work/report" || fail "no difference in $word"
grep -q '^row [0-9]* of isa.def' "$work/report" || fail "no row of isa.def"
depends='^From a copy of the state'
if [ "$kind" = warm ]; then
    grep -q "$depends" "$work/report" || fail "not seen that it depends on what came before"
else
    ! grep -q "$depends" "$work/report" || fail "seen only from power-on"
fi
grep -q '^translation by faulty of 2 instructions' "$work/report" && grep -q ' ret *$' "$work/report" ||
    fail "the engine's own code is not shown"
REPRISE_FAULT=$kind@$icount "$program" verify --engines interp,faulty "${options[@]}" --json >"$work/json" \
    2>"$work/report"
[ $? = 16 ] || fail "another exit code with --json"
grep -q '"agree": false' "$work/json" && grep -q "\"equal_at\": $found," "$work/json" &&
    grep -q '{"name": \|{"address": ' "$work/json" || { cat "$work/json"; fail "the JSON says something else"; }
