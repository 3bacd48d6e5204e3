/* Calls into thunks (sbe/fpu_thunk.h) and the way out when one raises an exception.
 *
 * Every caller of a thunk pushes RBX and nothing else, so that fpu_thunk_fault can unwind all of them alike: it is
 * entered with the stack as it was at the thunk's only instruction, the vector in EAX. */

#define FLAGS_IN_AH 0xd5
#define FLAG_OF_SHIFT 11

        .text
        .globl  fpu_call
        .type   fpu_call, @function
fpu_call:
        push    %rbx
        mov     %rdi, %rax
        mov     %rsi, %rdi
        call    *%rax
        xor     %eax, %eax
        pop     %rbx
        ret
        .size   fpu_call, . - fpu_call

        /* Flags travel by SAHF and LAHF, which leave IF and the rest alone, as POPF in ring 0 would not. Adding 127
         * to the wanted OF sets OF; SAHF sets the others and keeps OF. */
        .globl  fpu_call_registers
        .type   fpu_call_registers, @function
fpu_call_registers:
        push    %rbx
        mov     %rdx, %rbx
        mov     %rdi, %r8
        mov     %rsi, %rdi
        mov     24(%rbx), %eax
        mov     %eax, %ecx
        shr     $FLAG_OF_SHIFT, %ecx
        and     $1, %ecx
        mov     %al, %ah
        add     $127, %cl
        sahf
        mov     (%rbx), %rax
        mov     8(%rbx), %rcx
        mov     16(%rbx), %rdx
        call    *%r8
        mov     %rax, (%rbx)
        mov     %rcx, 8(%rbx)
        mov     %rdx, 16(%rbx)
        lahf
        seto    %al
        movzbl  %ah, %ecx
        movzbl  %al, %eax
        and     $FLAGS_IN_AH, %ecx
        shl     $FLAG_OF_SHIFT, %eax
        or      %ecx, %eax
        mov     %rax, 24(%rbx)
        xor     %eax, %eax
        pop     %rbx
        ret
        .size   fpu_call_registers, . - fpu_call_registers

        .globl  fpu_thunk_fault
fpu_thunk_fault:
        add     $8, %rsp
        pop     %rbx
        ret

        .section .note.GNU-stack, "", @progbits
