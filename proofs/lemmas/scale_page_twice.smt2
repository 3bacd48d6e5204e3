; For every x below 2^51: x << 13 = x * 8192, and the product stays below 2^64.
(set-logic QF_BV)
(declare-const x (_ BitVec 64))
(assert (bvult x #x0008000000000000))
(assert (not (and (= (bvshl x #x000000000000000d) (bvmul x #x0000000000002000))
                  (= ((_ extract 127 64) (bvmul (concat #x0000000000000000 x) #x00000000000000000000000000002000)) #x0000000000000000))))
(check-sat)
