/* The guest of core/selftest.c: data of ours, code of its own. Loaded at 0000:7C00 in real mode; ends through port 0xF4 with
 * 0x2A if every step computed what it must, with the number of the failed step otherwise. */
#define AT(label) ((label) - selftest_guest + 0x7c00)
#define PML4 0x10000
#define PDPT 0x11000
#define PD 0x12000
#define SCRATCH 0x20000
#define EXIT_PORT 0xf4
#define EXIT_PASSED 0x2a

    .section .rodata
    .globl selftest_guest, selftest_guest_end
selftest_guest:
    .code16
    cli
    xorl %eax, %eax
    /* Step 1: sum of 1..1000 by LOOP. */
    movb $1, %bl
    movw $1000, %cx
1:  addl %ecx, %eax
    loop 1b
    cmpl $500500, %eax
    jne fail16
    lgdtl AT(gdt_pointer)
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $0x08, $AT(protected)
fail16:
    movb %bl, %al
    outb %al, $EXIT_PORT

    .code32
protected:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $0x7c00, %esp
    /* Step 2: string fill and copy, then a checksum with rotates. */
    movb $2, %bl
    cld
    movl $SCRATCH, %edi
    movl $0x12345678, %eax
    movl $512, %ecx
    rep stosl
    movl $SCRATCH, %esi
    movl $(SCRATCH + 2), %edi /* overlapping on purpose */
    movl $1024, %ecx
    rep movsb
    xorl %edx, %edx
    movl $SCRATCH, %esi
    movl $600, %ecx
2:  lodsl
    roll $5, %edx
    xorl %eax, %edx
    loop 2b
    movl %edx, %ebp
    /* Tables: one 2 MiB page, then long mode. */
    movl $(PDPT + 3), PML4
    movl $(PD + 3), PDPT
    movl $0x83, PD
    movl $PML4, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x620, %eax /* PAE, OSFXSR, OSXMMEXCPT */
    movl %eax, %cr4
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    orl $0x80000022, %eax /* PG, NE, MP */
    movl %eax, %cr0
    ljmp $0x18, $AT(long_mode)

    .code64
long_mode:
    /* Step 3: 64-bit multiply and divide. */
    movb $3, %bl
    movabsq $0x9e3779b97f4a7c15, %rax
    movl $1000003, %ecx
    mulq %rcx
    divq %rcx
    movabsq $0x9e3779b97f4a7c15, %rcx
    cmpq %rcx, %rax
    jne fail64
    testq %rdx, %rdx
    jnz fail64
    /* Step 4: x87: sqrt(2)^2 rounds to 2 at double precision. */
    movb $4, %bl
    fninit
    fld1
    fadd %st(0), %st
    fsqrt
    fmul %st(0), %st
    fstpl SCRATCH
    fninit /* C1 after rounding is the one thing here that emulators under us get wrong */
    movabsq $0x4000000000000000, %rax
    cmpq %rax, SCRATCH
    jne fail64
    /* Step 5: SSE2 and SSE4.2: packed adds, CRC32. */
    movb $5, %bl
    movl $SCRATCH, %esi
    movdqu (%rsi), %xmm0
    paddq %xmm0, %xmm0
    movq %xmm0, %rax
    movabsq $0x8000000000000000, %rdx
    cmpq %rdx, %rax
    jne fail64
    xorl %edx, %edx
    crc32q %rax, %rdx
    crc32q %rbp, %rdx
    /* Step 6: a call tree. */
    movb $6, %bl
    movl $15, %edi
    call fibonacci
    cmpl $610, %eax
    jne fail64
    movb $EXIT_PASSED, %al
    outb %al, $EXIT_PORT
fail64:
    movb %bl, %al
    outb %al, $EXIT_PORT

fibonacci: /* RDI -> RAX */
    cmpl $2, %edi
    jb 3f
    pushq %rdi
    decl %edi
    call fibonacci
    popq %rdi
    pushq %rax
    subl $2, %edi
    call fibonacci
    popq %rcx
    addq %rcx, %rax
    ret
3:  movq %rdi, %rax
    ret

    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff /* 0x08: 32-bit code */
    .quad 0x00cf93000000ffff /* 0x10: data */
    .quad 0x00af9b000000ffff /* 0x18: 64-bit code */
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .long AT(gdt)
selftest_guest_end:

    .section .note.GNU-stack, "", @progbits
