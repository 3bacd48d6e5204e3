/* The only facts that the proofs admit: masks and shifts as arithmetic, which WP's provers do not find by themselves.
 * Each has its proof over bit vectors in proofs/lemmas/NAME.smt2, which ci/proofs gives to z3. Nothing else may be
 * admitted anywhere. */
#ifndef REPRISE_PROOFS_LEMMAS_H
#define REPRISE_PROOFS_LEMMAS_H

/*@ axiomatic bit_lemmas {
      admit lemma and_page_mask: \forall integer x; 0 <= x < 0x10000000000000000 ==> (x & 4095) == x % 4096;
      admit lemma shift_page: \forall integer x; 0 <= x < 0x10000000000000000 ==> (x >> 12) == x / 4096;
      admit lemma scale_page: \forall integer x; 0 <= x < 0x10000000000000 ==> (x << 12) == x * 4096;
      admit lemma scale_page_twice: \forall integer x; 0 <= x < 0x8000000000000 ==> (x << 13) == x * 8192;
    } */

#endif
