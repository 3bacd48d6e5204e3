#!/usr/bin/env bash
# Two engines are in the same state all through a guest, wherever they are stopped:
#   verify_test.sh REPRISE ENGINE ENGINE GRAIN[,GRAIN]... OPTION OF `reprise verify`...
set -u
reprise=$1 engines=$2,$3 grains=$4
shift 4
failures=0
for grain in ${grains//,/ }; do
    # The guest's own verdict is another test's.
    report=$("$reprise" verify --engines "$engines" --every "$grain" "$@" 2>&1 >/dev/null </dev/null)
    code=$?
    echo "$grain: $report"
    [ $code = 0 ] && [[ $report == *" agree for "* ]] && continue
    echo "FAIL: --every $grain: exit code $code" >&2
    failures=1
done
exit $failures
