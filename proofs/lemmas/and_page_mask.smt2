; For every 64-bit x: x & 4095 = x mod 4096.
(set-logic QF_BV)
(declare-const x (_ BitVec 64))
(assert (not (= (bvand x #x0000000000000fff) (bvurem x #x0000000000001000))))
(check-sat)
