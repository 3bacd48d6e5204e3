/* msr_find: for each of the 2^32 MSR indices, find_row() answers the one row that holds it, or none where no row
 * does. */
#include "core/msr.c"

#include <stdio.h>

/* What the table's policies call, and this program does not. */
void vcpu_update_mode(struct vcpu *v) { (void)v; }
void tlb_invalidate(struct vcpu *v) { (void)v; }
u64 chipset_get_tsc_deadline(struct vm *vm, struct vcpu *v) { return (void)vm, (void)v, 0; }
void chipset_set_tsc_deadline(struct vm *vm, struct vcpu *v, u64 tsc) { (void)vm, (void)v, (void)tsc; }
void chipset_set_apic_base(struct vm *vm, struct vcpu *v, u64 msr) { (void)vm, (void)v, (void)msr; }
u64 cpu_model_efer_mask(const struct cpu_model *m) { return (void)m, 0; }
bool mem_read_slow(struct vcpu *v, u64 linear, void *to, unsigned size, enum tlb_rights rights)
{
    return (void)v, (void)linear, (void)to, (void)size, (void)rights, false;
}
bool mem_write_slow(struct vcpu *v, u64 linear, const void *from, unsigned size, enum tlb_rights rights)
{
    return (void)v, (void)linear, (void)from, (void)size, (void)rights, false;
}

/* By a linear search that moves along with the index. */
static const struct msr_row *expected(u32 index)
{
    static unsigned at;
    while (at < ARRAY_LEN(msr_rows) && msr_rows[at].last < index)
        at++;
    return at < ARRAY_LEN(msr_rows) && msr_rows[at].first <= index ? &msr_rows[at] : NULL;
}

int main(void)
{
    static struct vm vm;
    static struct vcpu v;
    const struct cpu_model all = {.features = {~0ull, ~0ull}};
    v.vm = &vm;
    vm.config.model = &all;
    u64 wrong = 0;
    for (u64 index = 0; index <= UINT32_MAX; index++)
        wrong += find_row(&v, (u32)index) != expected((u32)index);
    printf("goals %u 1 cases %llu\n", wrong == 0, 1ull << 32);
    return wrong != 0;
}
