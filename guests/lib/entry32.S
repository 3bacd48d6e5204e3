/* 32-bit images: from the boot loader to main(), the trap entries, and the way into a probe and back. */
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
    mov $main_stack_top, %esp
    push $2
    popf
    call machine_start
    call main
    call finish

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
    pushl $vector
    jmp trap_common
    .set vector, vector + 1
    .endr

/* Stack: GS FS ES DS, EDI..EAX, vector, error, EIP, CS, EFLAGS[, ESP, SS[, ES, DS, FS, GS]]; above the frame pointer
 * stand the flags of the handler's first instructions, which nothing has changed since the gate. */
trap_common:
    pusha
    push %ds
    push %es
    push %fs
    push %gs
    pushf
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    cld
    mov %esp, %eax
    push %eax
    call trap
    add $8, %esp
    pop %gs
    pop %fs
    pop %es
    pop %ds
    popa
    add $8, %esp
    iret

/* void enter(const struct regs *regs, const word frame[5], word data_selector)
 * Leaves for the probe by IRET; frame is EIP, CS, EFLAGS, ESP, SS. Comes back through leave_probe. */
    .global enter
enter:
    pusha
    mov %esp, resume_sp
    mov 36(%esp), %ebx
    mov 40(%esp), %esi
    mov 44(%esp), %ecx
    mov 12(%esi), %edx
    testl $3, 4(%esi)
    jz 1f
    pushl 16(%esi)
    pushl %edx
    jmp 2f
1:  mov %edx, %esp
2:  pushl 8(%esi)
    pushl 4(%esi)
    pushl 0(%esi)
    pushl 0(%ebx)
    pushl 4(%ebx)
    pushl 8(%ebx)
    pushl 12(%ebx)
    pushl $0
    pushl 20(%ebx)
    pushl 24(%ebx)
    pushl 28(%ebx)
    mov %ecx, %ds
    mov %ecx, %es
    mov %ecx, %fs
    mov %ecx, %gs
    popa
    iret

    .global leave_probe
leave_probe:
    mov $0x10, %eax
    mov %eax, %ss
    mov resume_sp, %esp
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    push $2
    popf
    popa
    ret

/* void reload_segments(void): after LGDT. */
    .global reload_segments
reload_segments:
    ljmp $0x08, $1f
1:  mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
    ret

    .bss
    .align 16
main_stack:
    .skip 16384
main_stack_top:
resume_sp:
    .skip 4
    .section .note.GNU-stack, "", @progbits
