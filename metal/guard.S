/* metal/guard.h */
    .text
    .code64
    .globl guard_run
guard_run:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, guard_stack
    movq %rdi, %rax
    movq %rsi, %rdi
    subq $8, %rsp                   /* a call wants RSP a multiple of 16 */
    call *%rax
    addq $8, %rsp
    movl $1, %eax
guard_return:
    movq $0, guard_stack
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret

    .globl guard_leave
guard_leave:
    movq guard_stack, %rsp
    fninit                          /* the guest's state may have been live */
    xorl %eax, %eax
    jmp guard_return

    .bss
    .align 8
    .globl guard_stack
guard_stack: .skip 8

    .section .note.GNU-stack, "", @progbits
