# The proof units, in the order in which they run. Sourced by ci/proofs.
# unit NAME KIND quick|full "INVARIANTS" FILE OPTIONS...
#   KIND  eva: a driver of proofs/eva, no alarm for any input; wp: contracts of the functions named by -wp-fct, with run-time errors
#         and smoke tests; scan: a program that tries all values; lemmas, admitted: see ci/proofs
# shellcheck shell=bash
unit admitted admitted quick "-" ""
unit scan scan quick "scan_total scan_sens" scan/scan.c sbe/decode.c sbe/isa.c
unit decode eva quick "dec_safe dec_len" eva/decode.c \
    -eva-ilevel 32 -eva-slevel-function decode:50,main:200 -eva-split-return-function decode:0
