/* 64-bit images: from the boot loader's 32-bit protected mode to main() in long mode, the trap entries, and the way
 * into a probe and back. The first 4 GiB are mapped to themselves by 2 MiB pages that user code may use. */
#include "multiboot.h"

    .text
    .code32
    .global _start
_start:
    cld
    mov %eax, %edx
    mov $bss_start, %edi
    mov $bss_end, %ecx
    sub %edi, %ecx
    xor %eax, %eax
    rep stosb
    mov %edx, boot_magic
    mov %ebx, boot_info
    mov $boot_tables, %edi
    lea 0x1007(%edi), %eax
    mov %eax, (%edi)
    mov $4, %ecx
    lea 0x1000(%edi), %ebx
    lea 0x2007(%edi), %eax
1:  mov %eax, (%ebx)
    add $0x1000, %eax
    add $8, %ebx
    loop 1b
    lea 0x2000(%edi), %ebx
    mov $0x87, %eax
    mov $2048, %ecx
2:  mov %eax, (%ebx)
    add $0x200000, %eax
    add $8, %ebx
    loop 2b
    mov %edi, %cr3
    mov %cr4, %eax
    or $0x20, %eax
    mov %eax, %cr4
    mov $0xc0000080, %ecx
    rdmsr
    or $0x100, %eax
    wrmsr
    mov %cr0, %eax
    or $0x80000001, %eax
    mov %eax, %cr0
    lgdt boot_gdtr
    ljmp $0x08, $long_mode

    .code64
long_mode:
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $main_stack_top, %esp
    push $2
    popf
    call machine_start
    call main
    call finish

    .align 8
boot_gdt:
    .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff
boot_gdtr:
    .word 23
    .quad boot_gdt

/* The entries of all vectors, 16 bytes apart. */
    .align 16
    .global vector_stubs
vector_stubs:
    .set vector, 0
    .rept 256
    .align 16
    .if (vector != 8) && (vector < 10 || vector > 14) && (vector != 17) && (vector != 21)
    push $0
    .endif
    pushq $vector
    jmp trap_common
    .set vector, vector + 1
    .endr

/* Stack: flags of the handler's first instructions, RDI..RAX, R8..R15, vector, error, RIP, CS, RFLAGS, RSP, SS. */
trap_common:
    push %r15
    push %r14
    push %r13
    push %r12
    push %r11
    push %r10
    push %r9
    push %r8
    push %rax
    push %rcx
    push %rdx
    push %rbx
    push %rsp
    push %rbp
    push %rsi
    push %rdi
    pushf
    cld
    mov %rsp, %rdi
    mov %rsp, %rbp
    and $-16, %rsp
    call trap
    mov %rbp, %rsp
    add $8, %rsp
    pop %rdi
    pop %rsi
    pop %rbp
    add $8, %rsp
    pop %rbx
    pop %rdx
    pop %rcx
    pop %rax
    pop %r8
    pop %r9
    pop %r10
    pop %r11
    pop %r12
    pop %r13
    pop %r14
    pop %r15
    add $16, %rsp
    iretq

/* void enter(const struct regs *regs, const word frame[5], word data_selector)
 * Leaves for the probe by IRET; frame is RIP, CS, RFLAGS, RSP, SS. Comes back through leave_probe. FS and GS are left
 * alone: loading them would clear their bases. */
    .global enter
enter:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, resume_sp
    mov %edx, %ds
    mov %edx, %es
    pushq 32(%rsi)
    pushq 24(%rsi)
    pushq 16(%rsi)
    pushq 8(%rsi)
    pushq 0(%rsi)
    mov 120(%rdi), %r15
    mov 112(%rdi), %r14
    mov 104(%rdi), %r13
    mov 96(%rdi), %r12
    mov 88(%rdi), %r11
    mov 80(%rdi), %r10
    mov 72(%rdi), %r9
    mov 64(%rdi), %r8
    mov 0(%rdi), %rax
    mov 8(%rdi), %rcx
    mov 16(%rdi), %rdx
    mov 24(%rdi), %rbx
    mov 40(%rdi), %rbp
    mov 48(%rdi), %rsi
    mov 56(%rdi), %rdi
    iretq

    .global leave_probe
leave_probe:
    mov $0x10, %eax
    mov %eax, %ss
    mov resume_sp, %rsp
    mov %eax, %ds
    mov %eax, %es
    push $2
    popf
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

/* void reload_segments(void): after LGDT. */
    .global reload_segments
reload_segments:
    pop %rax
    push $0x08
    push %rax
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    lretq

    .bss
    .align 4096
    .global boot_tables
boot_tables:
    .skip 6 * 4096
main_stack:
    .skip 16384
main_stack_top:
resume_sp:
    .skip 8
    .section .note.GNU-stack, "", @progbits
