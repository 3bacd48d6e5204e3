/* A boot sector for engines that cannot load Multiboot images themselves. The image follows it on the disk, as the flat
 * bytes that belong at 1 MiB; its Multiboot header, which stands first, says where to enter. Passes a memory map and
 * the sizes of lower and upper memory, as Multiboot 3.3 has them. */
    .code16
    .section .boot, "ax"
    .global boot
boot:
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7c00, %sp
    cld
    mov %dl, drive
/* Reads 32 KiB at a time to 0x10000 and up. */
    mov $SECTORS, %bp
1:  mov $packet, %si
    mov drive, %dl
    mov $0x42, %ah
    int $0x13
    jc fail
    addw $0x800, packet + 6
    addw $64, packet + 8
    sub $64, %bp
    ja 1b
/* The memory map by INT 15h, E820, to MAP; each entry is preceded by its size. */
    mov $MAP, %di
    xor %ebx, %ebx
2:  mov $0xe820, %eax
    mov $0x534d4150, %edx
    mov $20, %ecx
    movl $20, (%di)
    add $4, %di
    int $0x15
    jc 3f
    add $20, %di
    test %ebx, %ebx
    jnz 2b
    add $4, %di
3:  sub $MAP + 4, %di
    movzwl %di, %edi
    mov %edi, INFO + 44
    movl $MAP, INFO + 48
    movl $0x41, INFO
    movl $640, INFO + 4
    mov $0xe801, %ax
    int $0x15
    movzwl %ax, %eax
    movzwl %bx, %ebx
    shl $6, %ebx
    add %ebx, %eax
    mov %eax, INFO + 8
    in $0x92, %al
    or $2, %al
    out %al, $0x92
    cli
    lgdt pointer
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmp $8, $4f
    .code32
4:  mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
    mov $0x10000, %esi
    mov $0x100000, %edi
    mov $SECTORS * 128, %ecx
    rep movsl
    mov $0x2badb002, %eax
    mov $INFO, %ebx
    jmp *0x10001c
    .code16
fail:
    hlt
    jmp fail

    .align 4
packet:
    .byte 16, 0
    .word 64, 0, 0x1000
    .quad 1
drive:
    .byte 0
    .align 8
gdt:
    .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
pointer:
    .word 23
    .long gdt
    .org 446
    .byte 0x80, 0, 2, 0, 0x83, 0, 63, 0
    .long 1, SECTORS
    .org 510
    .word 0xaa55

    .set INFO, 0x600
    .set MAP, 0x700
    .section .note.GNU-stack, "", @progbits
