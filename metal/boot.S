/* From a Multiboot loader, version 1 or 2 (32-bit protected mode, paging off), to C in 64-bit mode. */
#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0x00000003 /* page-aligned modules, memory information */
#define MULTIBOOT2_MAGIC 0xe85250d6
#define MULTIBOOT2_I386 0
#define MULTIBOOT2_TAG_ALIGN_MODULES 6
#define MULTIBOOT2_TAG_END 0

#define CR0_MP 0x2
#define CR0_NE 0x20
#define CR0_WP 0x10000
#define CR0_PG 0x80000000
#define CR4_PAE 0x20
#define CR4_OSFXSR 0x200
#define CR4_OSXMMEXCPT 0x400
#define MSR_EFER 0xc0000080
#define EFER_LME 0x100
#define PAGE_PRESENT_WRITABLE 0x3
#define PAGE_LARGE 0x80

    .section .multiboot, "a"
    .align 4
    .long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
    .align 8
header2:
    .long MULTIBOOT2_MAGIC, MULTIBOOT2_I386, header2_end - header2
    .long -(MULTIBOOT2_MAGIC + MULTIBOOT2_I386 + (header2_end - header2))
    .word MULTIBOOT2_TAG_ALIGN_MODULES, 0
    .long 8
    .word MULTIBOOT2_TAG_END, 0
    .long 8
header2_end:

    .section .boot32, "ax"
    .code32
    .globl metal_entry
metal_entry:
    cli
    cld
    movl %eax, %ebp                 /* the loader's magic */
    movl %ebx, %edi                 /* its information */
    movl $boot_stack_end, %esp
    movl $0x80000001, %eax
    cpuid
    testl $(1 << 29), %edx          /* long mode? */
    jz no_long_mode

    /* Identity map of the first 4 GiB in 2 MiB pages (SDM vol. 3, 4.5). */
    movl $boot_pdpt, %eax
    orl $PAGE_PRESENT_WRITABLE, %eax
    movl %eax, boot_pml4
    xorl %ecx, %ecx
1:  movl %ecx, %eax
    shll $12, %eax
    addl $boot_pd, %eax
    orl $PAGE_PRESENT_WRITABLE, %eax
    movl %eax, boot_pdpt(,%ecx,8)
    incl %ecx
    cmpl $4, %ecx
    jb 1b
    xorl %ecx, %ecx
2:  movl %ecx, %eax
    shll $21, %eax
    orl $(PAGE_PRESENT_WRITABLE | PAGE_LARGE), %eax
    movl %eax, boot_pd(,%ecx,8)
    incl %ecx
    cmpl $2048, %ecx
    jb 2b

    movl $boot_pml4, %eax
    movl %eax, %cr3
    movl $(CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT), %eax
    movl %eax, %cr4
    movl $MSR_EFER, %ecx
    rdmsr
    orl $EFER_LME, %eax
    wrmsr
    movl %cr0, %eax
    andl $~0x4, %eax                /* EM off */
    orl $(CR0_PG | CR0_WP | CR0_NE | CR0_MP), %eax
    movl %eax, %cr0
    lgdt boot_gdt_pointer
    ljmp $0x08, $entry64

no_long_mode:
    movl $no_long_mode_text, %esi
    movw $0x3f8, %dx
3:  lodsb
    testb %al, %al
    jz 4f
    outb %al, %dx
    jmp 3b
4:  hlt
    jmp 4b
no_long_mode_text:
    .asciz "reprise: this processor has no 64-bit mode, which Reprise needs\r\n"

    .code64
entry64:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl $boot_stack_end, %esp
    movl %edi, %esi
    movl %ebp, %edi
    xorl %ebp, %ebp
    call metal_main
5:  cli
    hlt
    jmp 5b

    .align 8
boot_gdt:
    .quad 0
    .quad 0x00209b0000000000        /* 0x08: 64-bit code */
    .quad 0x0000930000000000        /* 0x10: data */
boot_gdt_end:
boot_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .quad boot_gdt

    .bss
    .align 4096
boot_pml4: .skip 4096
boot_pdpt: .skip 4096
boot_pd: .skip 4 * 4096
    .globl boot_stack_guard
boot_stack_guard: .skip 4096        /* unmapped later on */
boot_stack: .skip 128 * 1024
boot_stack_end:

    .section .note.GNU-stack, "", @progbits
