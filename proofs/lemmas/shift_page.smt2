; For every 64-bit x: x >> 12 = x div 4096.
(set-logic QF_BV)
(declare-const x (_ BitVec 64))
(assert (not (= (bvlshr x #x000000000000000c) (bvudiv x #x0000000000001000))))
(check-sat)
