/* The way from 32-bit protected mode to real mode and back. The 16-bit part is copied to 0x8000 and runs as 0800:xxxx;
 * realmode.c puts the code under test at 0800:0400. Every vector leads back, and leaves the registers in real_state. */
    .text
    .code32
/* void enter_real(void) */
    .global enter_real
enter_real:
    pusha
    sidt protected_idt
    mov %esp, saved_esp
    mov %cr4, %eax
    lidt real_idt
    ljmp $0x40, $(real_start - real_blob)

back:
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
    mov saved_esp, %esp
    lidt protected_idt
    popa
    ret

    .global real_blob, real_blob_end, real_common_offset
    .code16
real_blob:
real_start:
    mov $0x48, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov %cs:(big_data - real_blob), %ax
    mov %ax, %fs
    mov $0x48, %ax
    mov %ax, %gs
    mov %cr0, %eax
    and $0xfffffffe, %eax
    mov %eax, %cr0
    ljmp $0x800, $(1f - real_blob)
1:  mov $0xa00, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %gs
    xor %ax, %ax
    mov %ax, %fs
    mov $0x900, %ax
    mov %ax, %ss
    mov $0x100, %sp
    xor %eax, %eax
    xor %ebx, %ebx
    xor %ecx, %ecx
    xor %edx, %edx
    xor %esi, %esi
    xor %edi, %edi
    xor %ebp, %ebp
    push $2
    popf
    jmp 0x400 + real_blob
big_data:
    .word 0x50

/* Reached with the stub's CALL return address on top of IP, CS, FLAGS. */
real_common:
    cli
    mov %eax, %cs:(state - real_blob)
    mov %ebx, %cs:(state - real_blob + 4)
    mov %ecx, %cs:(state - real_blob + 8)
    mov %edx, %cs:(state - real_blob + 12)
    mov %sp, %cs:(state - real_blob + 16)
    pushf
    pop %ax
    mov %ax, %cs:(state - real_blob + 20)
    mov %sp, %bp
    mov 0(%bp), %ax
    mov %ax, %cs:(state - real_blob + 24)
    mov 2(%bp), %ax
    mov %ax, %cs:(state - real_blob + 28)
    mov 4(%bp), %ax
    mov %ax, %cs:(state - real_blob + 32)
    mov 6(%bp), %ax
    mov %ax, %cs:(state - real_blob + 36)
    mov %cr0, %eax
    or $1, %eax
    mov %eax, %cr0
    ljmpl $0x08, $back
    .balign 4
state:
    .skip 40
    .set real_common_offset, real_common - real_blob
    .global real_state_offset
    .set real_state_offset, state - real_blob
real_blob_end:

    .data
real_idt:
    .word 0x3ff
    .long 0
protected_idt:
    .skip 8
saved_esp:
    .long 0
    .section .note.GNU-stack, "", @progbits
