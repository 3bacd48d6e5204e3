/* The processor's loop, in place of BX_CPU_C::cpu_loop(): one instruction after another, counted as the simulator counts,
 * with traps delivered where it delivers them. */
#include "plugin.h"

#include "cpu/decoder/ia_opcodes.h"
#include "cpu/apic.h"

BX_CPU_C bx_cpu(0);

enum { TRAPS = 0xf000 }; /* of debug_trap: something is to be delivered */

/* A fault ends in longjmp(); the attempt counts as an instruction, the delivery of an event does not. */
static volatile bool attempt_counts;

static bool running() { return BX_CPU_THIS_PTR activity_state == BX_CPU_C::BX_ACTIVITY_STATE_ACTIVE; }

/* What an instruction answers is a matter of the model: the simulator executes it. */
static bool delegated(const bxInstruction_c *i)
{
    switch (i->getIaOpcode()) {
    case BX_IA_CPUID: case BX_IA_RDTSC: case BX_IA_RDTSCP: case BX_IA_RDPMC: case BX_IA_RDMSR: case BX_IA_WRMSR:
    case BX_IA_XSETBV: case BX_IA_MONITOR: case BX_IA_MWAIT: return true;
    case BX_IA_MOV_CR0Rq: return i->dst() == 8;
    case BX_IA_MOV_RqCR0: return i->src() == 8;
    default: return false;
    }
}

/* Before the next instruction: traps left over, and its own breakpoint. */
static void deliver_before()
{
    if (!BX_CPU_THIS_PTR interrupts_inhibited(BX_INHIBIT_DEBUG)) {
        if (BX_CPU_THIS_PTR dr7.get32() & 0xff)
            BX_CPU_THIS_PTR debug_trap |=
                BX_CPU_THIS_PTR code_breakpoint_match(BX_CPU_THIS_PTR get_laddr(BX_SEG_REG_CS, RIP));
        if (BX_CPU_THIS_PTR debug_trap & TRAPS)
            BX_CPU_THIS_PTR exception(BX_DB_EXCEPTION, 0);
        BX_CPU_THIS_PTR debug_trap = 0;
    }
    if (BX_CPU_THIS_PTR get_TF())
        BX_CPU_THIS_PTR debug_trap |= BX_DEBUG_SINGLE_STEP_BIT;
}

/* After a retired one. The trap of a task that was just entered waits for its first instruction. */
static void deliver_after()
{
    Bit32u due = BX_CPU_THIS_PTR debug_trap & TRAPS & ~BX_DEBUG_TRAP_TASK_SWITCH_BIT;
    if (!due || BX_CPU_THIS_PTR interrupts_inhibited(BX_INHIBIT_DEBUG))
        return;
    attempt_counts = false;
    BX_CPU_THIS_PTR activity_state = BX_CPU_C::BX_ACTIVITY_STATE_ACTIVE; /* the trap of HLT ends it */
    BX_CPU_THIS_PTR exception(BX_DB_EXCEPTION, 0);
}

/* What is decoded from a device is decoded each time. */
static bool outside_ram()
{
    bx_address biased = RIP + BX_CPU_THIS_PTR eipPageBias;
    if (biased >= BX_CPU_THIS_PTR eipPageWindowSize) {
        BX_CPU_THIS_PTR prefetch();
        biased = RIP + BX_CPU_THIS_PTR eipPageBias;
    }
    bx_phy_address address = BX_CPU_THIS_PTR pAddrFetchPage + biased;
    if (!memory_fetch_outside(BX_CPU_THIS_PTR eipFetchPtr, address))
        return false;
    BX_CPU_THIS_PTR iCache.get_entry(address, BX_CPU_THIS_PTR fetchModeMask)->pAddr = BX_ICACHE_INVALID_PHY_ADDRESS;
    return true;
}

/* Bochs finds an instruction that crosses a page again by its first page alone, whatever the second one has become since: such
 * an instruction is decoded each time as well. */
static bxInstruction_c *fetch()
{
    const Bit32u last_line = 0x80000000u;
    bool outside = outside_ram();
    bxICacheEntry_c *entry = BX_CPU_THIS_PTR getICacheEntry();
    if (outside || (entry->traceMask == last_line && (entry->pAddr & 4095) + entry->i->ilen() > 4096))
        entry->pAddr = BX_ICACHE_INVALID_PHY_ADDRESS;
    return entry->i;
}

/* False, with nothing executed, at an instruction of the simulator's. */
static bool step()
{
    Bit32u flags = BX_CPU_THIS_PTR eflags, trap = BX_CPU_THIS_PTR debug_trap;
    attempt_counts = true;
    deliver_before();
    bxInstruction_c *i = fetch();
    if (delegated(i)) {
        BX_CPU_THIS_PTR eflags = flags; /* fetching has cleared RF */
        BX_CPU_THIS_PTR debug_trap = trap;
        return false;
    }
    BX_CPU_THIS_PTR async_event = BX_ASYNC_EVENT_STOP_TRACE; /* one iteration of a repeated instruction at a time */
    RIP += i->ilen();
    BX_CPU_CALL_METHOD(i->execute1, (i));
    BX_CPU_THIS_PTR prev_rip = RIP;
    BX_CPU_THIS_PTR icount++;
    deliver_after();
    return true;
}

/* Where a fault's delivery ends. */
static void landed()
{
    BX_CPU_THIS_PTR icount += attempt_counts;
    if (surroundings_take_reset())
        BX_CPU_THIS_PTR activity_state = BX_CPU_C::BX_ACTIVITY_STATE_SHUTDOWN;
}

static void settle()
{
    BX_CPU_THIS_PTR prev_rip = RIP;
    BX_CPU_THIS_PTR speculative_rsp = false;
    if (memory_take_flush())
        BX_CPU_THIS_PTR TLB_flush();
}

static bochs_end run()
{
    if (setjmp(BX_CPU_THIS_PTR jmp_buf_env))
        landed();
    settle();
    while (running() && BX_CPU_THIS_PTR icount < *plugin_host.stop_at) {
        if (!step())
            return BOCHS_DELEGATED;
        settle();
    }
    return BOCHS_STOPPED;
}

static void interrupt(uint8_t vector, int nmi)
{
    if (setjmp(BX_CPU_THIS_PTR jmp_buf_env)) {
        landed();
    } else {
        attempt_counts = false;
        BX_CPU_THIS_PTR activity_state = BX_CPU_C::BX_ACTIVITY_STATE_ACTIVE;
        BX_CPU_THIS_PTR EXT = 1;
        if (nmi)
            BX_CPU_THIS_PTR mask_event(BX_EVENT_NMI);
        BX_CPU_THIS_PTR interrupt(vector, nmi ? BX_NMI : BX_EXTERNAL_INTERRUPT, 0, 0);
    }
    settle();
}

static void forget(unsigned what)
{
    if (what & BOCHS_TRANSLATIONS)
        BX_CPU_THIS_PTR TLB_flush();
    if (what & BOCHS_CODE)
        flushICaches();
}

/* The page must be asked for again as well, before anything is made of its instructions. */
static void forget_code(uint64_t address)
{
    pageWriteStampTable.decWriteStamp(address);
    memory_want_flush();
}

static void attach(const bochs_host *host, const bochs_model *model)
{
    plugin_host = *host;
    surroundings_begin();
    model_begin(model);
}

static void set_flags(uint32_t rflags) { BX_CPU_THIS_PTR setEFlagsOSZAPC(rflags); }
/* While a fault is delivered (EXT says so) its attempt has been counted already, to a device that looks at the clock. */
static uint64_t icount() { return BX_CPU_THIS_PTR icount + (BX_CPU_THIS_PTR EXT && attempt_counts); }

const bochs_cpu *reprise_bochs()
{
    static const bochs_cpu cpu = {
        BOCHS_ABI, attach, state_load, set_flags, state_store, icount, run, interrupt, forget, forget_code,
    };
    return &cpu;
}
