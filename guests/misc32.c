/* 32-bit mode's share of the miscellany: decimal arithmetic, old one-byte instructions, reading and writing MSRs. */
#include "guests/lib/guest.h"
#include "guests/misc.h"

const char *const suite_name = "misc32";

PROBE(decimal_add, "mov $0x79,%eax; add $0x35,%al", "daa")
PROBE(decimal_subtract, "mov $0x35,%eax; sub $0x47,%al", "das")
PROBE(ascii_add, "mov $0x0039,%eax; add $0x38,%al", "aaa")
PROBE(ascii_multiply, "mov $63,%eax", "aam")
PROBE(ascii_multiply_zero, "mov $63,%eax", ".byte 0xd4,0")
PROBE(ascii_divide, "mov $0x0603,%eax", "aad")
PROBE(carry_byte, "stc; mov $0,%eax", ".byte 0xd6")
PROBE(table_byte, "mov $table,%ebx; mov $0x1234ff02,%eax", "xlat")
PROBE(all_registers, "mov %esp,%ecx; mov $7,%eax", "pusha; mov 12(%esp),%edx; sub %edx,%ecx; mov %ecx,24(%esp); popa")
PROBE(enter_nested, "mov %esp,%ebp; mov %esp,%ecx", "enter $8,$3; sub %esp,%ecx; leave")
PROBE(pop_to_esp_memory, "push $0x55; mov %esp,%ecx", "popl (%esp); sub %esp,%ecx; mov (%esp),%eax")
PROBE(push_esp, "mov %esp,%ecx", "push %esp; pop %eax; sub %ecx,%eax")
__asm__(".pushsection .rodata\ntable: .byte 1,2,3,4\n.popsection");

int main(void)
{
    misc_common();
    const struct trap *t = run(decimal_add, 3);
    promise("DAA", 0x14, t->r.ax & 0xff);
    promise("DAA carries", FL_CF, t->flags & FL_CF);
    t = run(decimal_subtract, 3);
    promise("DAS", 0x88, t->r.ax & 0xff);
    promise("AAA", 0x0107, run(ascii_add, 3)->r.ax);
    promise("AAM", 0x0603, run(ascii_multiply, 3)->r.ax);
    FAULTS("#DE by AAM 0", ascii_multiply_zero, 3, VEC_DE, 0);
    promise("AAD", 63, run(ascii_divide, 3)->r.ax);
    promise("SALC", 0xff, run(carry_byte, 3)->r.ax);
    promise("XLAT", 0x1234ff03, run(table_byte, 3)->r.ax);
    t = run(all_registers, 3);
    promise("PUSHA saves the ESP from before", 0, t->r.cx);
    promise("POPA loads the rest", 7, t->r.ax);
    promise("ENTER with three levels", 4 + 3 * 4 + 8, run(enter_nested, 3)->r.cx);
    t = run(pop_to_esp_memory, 3);
    promise("POP (ESP) computes its address after the increment", 0x55, t->r.ax);
    promise("PUSH ESP pushes the old value", 0, run(push_esp, 3)->r.ax);
    return 0;
}
