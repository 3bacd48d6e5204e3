; For every x below 2^52: x << 12 = x * 4096, and the product stays below 2^64.
(set-logic QF_BV)
(declare-const x (_ BitVec 64))
(assert (bvult x #x0010000000000000))
(assert (not (and (= (bvshl x #x000000000000000c) (bvmul x #x0000000000001000))
                  (= ((_ extract 127 64) (bvmul (concat #x0000000000000000 x) #x00000000000000000000000000001000)) #x0000000000000000))))
(check-sat)
