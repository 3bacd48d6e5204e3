/* Bochs' memory: all of it is the simulator's. Pages of RAM are given out as pointers, but for those that hold page tables,
 * whose writes must be seen. */
#include "plugin.h"

#include "memory/memory-bochs.h"

BX_MEM_C bx_mem;
static bool flush_wanted;

/* For instructions outside RAM, which Bochs wants to read from memory. */
static Bit8u outside[4096];
const unsigned INSTRUCTION_MAX = 15;

bool memory_take_flush()
{
    bool wanted = flush_wanted;
    flush_wanted = false;
    return wanted;
}

void memory_want_flush() { flush_wanted = true; }

/* The PDPTEs of PAE paging are none of them: they are read by MOV to CR3, and kept. */
static bool of_walk(unsigned why) { return why >= BX_PTE_ACCESS && why <= BX_PML4E_ACCESS; }

void reprise_physical_access(bx_phy_address address, unsigned rw, unsigned why)
{
    if (rw == BX_READ && of_walk(why) && plugin_host.walked(plugin_host.context, address))
        flush_wanted = true;
}

Bit8u *BX_MEM_C::getHostMemAddr(BX_CPU_C *, bx_phy_address address, unsigned rw)
{
    bochs_rights rights = rw == BX_EXECUTE ? BOCHS_FETCH : rw & 1 ? BOCHS_WRITE : BOCHS_READ;
    Bit64u page = address & ~(Bit64u)4095;
    Bit8u *host = plugin_host.page(plugin_host.context, page, rights);
    return host || rights != BOCHS_FETCH ? host : outside;
}

bool memory_fetch_outside(const Bit8u *page, bx_phy_address address)
{
    unsigned at = address & 4095, room = sizeof outside - at;
    if (page != outside)
        return false;
    plugin_host.read(plugin_host.context, address, outside + at, room < INSTRUCTION_MAX ? room : INSTRUCTION_MAX);
    return true;
}

void BX_MEM_C::readPhysicalPage(BX_CPU_C *, bx_phy_address address, unsigned bytes, void *data)
{
    plugin_host.read(plugin_host.context, address, data, bytes);
}

void BX_MEM_C::writePhysicalPage(BX_CPU_C *, bx_phy_address address, unsigned bytes, void *data)
{
    pageWriteStampTable.decWriteStamp(address, bytes);
    if (plugin_host.write(plugin_host.context, address, data, bytes))
        flush_wanted = true;
}

/* ---- What the class has besides, and nobody calls ---------------------------------------------------- */

BX_MEMORY_STUB_C::BX_MEMORY_STUB_C() {}
BX_MEMORY_STUB_C::~BX_MEMORY_STUB_C() {}
BX_MEM_C::BX_MEM_C() {}
BX_MEM_C::~BX_MEM_C() {}
Bit64u BX_MEMORY_STUB_C::get_memory_len() { return 0; }
bool BX_MEM_C::dbg_fetch_mem(BX_CPU_C *, bx_phy_address, unsigned, Bit8u *) { return false; }
void BX_MEM_C::enable_smram(bool, bool) {}
void BX_MEM_C::disable_smram() {}
bool BX_MEM_C::is_smram_accessible() { return false; }
bool BX_MEMORY_STUB_C::is_monitor(bx_phy_address, unsigned) { return false; }
void BX_MEMORY_STUB_C::check_monitor(bx_phy_address, unsigned) {}
