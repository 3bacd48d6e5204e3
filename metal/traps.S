/* Exception entries: one stub per vector, all leading to metal_trap(struct trap_frame *). */
    .text
    .code64

    .macro trap vector, has_error
trap_\vector:
    .if \has_error == 0
    pushq $0
    .endif
    pushq $\vector
    jmp trap_common
    .endm

    .altmacro
    .macro trap_number n
    .if (\n == 8) || ((\n >= 10) && (\n <= 14)) || (\n == 17) || (\n == 21) || (\n == 29) || (\n == 30)
    trap \n, 1
    .else
    trap \n, 0
    .endif
    .endm

    .set vector, 0
    .rept 64
    trap_number %vector
    .set vector, vector + 1
    .endr

trap_common:
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rbx
    pushq %rbp
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
    movq %rsp, %rdi
    call metal_trap
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rbp
    popq %rbx
    popq %rdx
    popq %rcx
    popq %rax
    addq $16, %rsp                  /* vector, error code */
    iretq

    .section .rodata
    .align 8
    .globl trap_entries
trap_entries:
    .macro trap_address n
    .quad trap_\n
    .endm
    .set vector, 0
    .rept 64
    trap_address %vector
    .set vector, vector + 1
    .endr

    .section .note.GNU-stack, "", @progbits
