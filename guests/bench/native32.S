/* From a 64-bit process into the 32-bit blob and back. The program is linked below 4 GiB: both sides reach this. */

/* uint32_t enter32(uint32_t kernel, uint32_t iterations, uint32_t selector, uint32_t stack, uint32_t entry)
 * `selector` is a flat 32-bit code segment, `stack` the end of a stack below 4 GiB, `entry` the function to call. The
 * 32-bit side keeps no upper half and no extended register (SDM vol. 1, 3.4.1.1), so everything that the caller wants
 * back stands on its own stack. Null data segments do for 64-bit code only: DS and ES get the selector of SS, which is
 * flat. */
    .text
    .code64
    .global enter32
enter32:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, saved_sp
    mov %cs, %eax
    mov %ax, back_selector
    mov %dx, there_selector
    mov %ss, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %ecx, %esp
    /* The arguments, as the i386 convention has them: EDI first, the stack aligned to 16 bytes. */
    sub $16, %esp
    mov %edi, (%rsp)
    mov %esi, 4(%rsp)
    mov %r8d, %eax
    ljmp *there

    .code32
compatible:
    call *%eax
    ljmp *back

    .code64
returned:
    mov saved_sp, %rsp
    mov %eax, %eax
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

    .data
    .align 8
saved_sp:
    .quad 0
there:
    .long compatible
there_selector:
    .word 0
    .align 8
back:
    .long returned
back_selector:
    .word 0
    .section .note.GNU-stack, "", @progbits
