#include "sim/tests/zydis_exceptions.h"

#include <string.h>

/* SDM vol. 2, table 2-5: with mod 00, SIB base 101b means no base register, and REX.B is not looked at. Zydis 4.0
 * forgets that with 32-bit addresses: it names R13D and drops the displacement, though it counts its bytes. */
static bool sib_without_base(const struct comparison *c)
{
    return c->ours.addrsize == 4 && c->ours.base == REG_NONE && (c->ours.modrm & 0xc7) == 0x04 && (c->ours.rex & 1) &&
           c->zydis.raw.sib.base == 5;
}

static bool is_hint(const struct comparison *c)
{
    return c->ours.opcode == 0x0d || (c->ours.opcode >= 0x18 && c->ours.opcode <= 0x1f);
}

static bool undefined_and_long(const struct comparison *c)
{
    return c->ours_status == DECODE_INVALID;
}

#define ONLY_ZYDIS(set, reason) {VERDICT_ONLY_ZYDIS, set, NULL, NULL, NULL, NULL, reason}

const struct exception exceptions[] = {
    {VERDICT_BOTH_REFUSE, NULL, NULL, NULL, "refusal", undefined_and_long,
     "an undefined opcode of which only Zydis knows that it would end beyond 15 bytes: #UD, not #GP"},
    {VERDICT_DIFFERENT, NULL, NULL, NULL, "operand", sib_without_base,
     "SIB without base under 67 and REX.B: Zydis 4.0 takes R13D (SDM vol. 2, table 2-5: no base)"},
    {VERDICT_DIFFERENT, NULL, "nop", "nop", NULL, is_hint,
     "multi-byte NOP: Zydis lists both ModRM operands, our row one; nothing is accessed"},
    {VERDICT_DIFFERENT, NULL, NULL, "prefetch*", NULL, is_hint,
     "prefetch hints: Zydis has a cache line or no operand; ours are NOPs that access nothing"},
    {VERDICT_DIFFERENT, NULL, "ud*", "ud*", NULL, NULL, "UD0, UD1: operands of an instruction that only raises #UD"},
    {VERDICT_DIFFERENT, NULL, "bsf", "tzcnt", "name", NULL,
     "TZCNT's handler does BSF on models without BMI1, as hardware"},
    {VERDICT_DIFFERENT, NULL, "bsr", "lzcnt", "name", NULL,
     "LZCNT's handler does BSR on models without LZCNT, as hardware"},
    {VERDICT_DIFFERENT, NULL, "pause", "xchg", "name", NULL, "F3 with REX.B and 90: processors execute XCHG r8, rAX"},
    {VERDICT_DIFFERENT, NULL, "lsl", "lsl", "operand", NULL,
     "LSL's source register: only its low 16 bits are looked at"},
    {VERDICT_DIFFERENT, NULL, "ins*", "ins", "operand size", NULL,
     "INS with REX.W: Zydis says 64 for a 32-bit operand"},
    {VERDICT_DIFFERENT, NULL, "outs*", "outs", "operand size", NULL,
     "OUTS with REX.W: Zydis says 64 for a 32-bit operand"},
    {VERDICT_DIFFERENT, NULL, "nop", "xchg", "operand", NULL,
     "90 is XCHG rAX, rAX in our table; Zydis lists no operands of NOP"},
    {VERDICT_DIFFERENT, NULL, "movsxd", "movsxd", "memory operand size", NULL,
     "MOVSXD with 66 reads a word (SDM vol. 2, \"MOVSX/MOVSXD\": r16, r/m16); Zydis has 32 bits"},
    {VERDICT_DIFFERENT, NULL, "movmskp*", "movmskp*", "operand", NULL,
     "MOVMSKPS, MOVMSKPD with REX.W: the 32-bit result is zero-extended in any case"},
    /* Extensions without rows: no processor model offers them, so they are #UD as on a processor without them. */
    ONLY_ZYDIS("ADOX_ADCX", "ADX"),
    ONLY_ZYDIS("AMD3DNOW", "3DNow! (AMD)"),
    ONLY_ZYDIS("AMD_INVLPGB", "INVLPGB (AMD)"),
    ONLY_ZYDIS("AMX*", "AMX"),
    ONLY_ZYDIS("AVX", "AVX: rows come later"),
    ONLY_ZYDIS("AVX2", "AVX2: rows come later"),
    ONLY_ZYDIS("AVX2GATHER", "AVX2 gathers: rows come later"),
    ONLY_ZYDIS("AVXAES", "VEX-encoded AES: rows come later"),
    ONLY_ZYDIS("AVX_GFNI", "VEX-encoded GFNI"),
    ONLY_ZYDIS("AVX_VNNI", "VEX-encoded VNNI"),
    ONLY_ZYDIS("AVX512*", "AVX-512: EVEX and opmask instructions"),
    ONLY_ZYDIS("CET", "shadow stacks"),
    ONLY_ZYDIS("CLWB", "CLWB"),
    ONLY_ZYDIS("CLZERO", "CLZERO (AMD)"),
    ONLY_ZYDIS("ENQCMD", "ENQCMD"),
    ONLY_ZYDIS("F16C", "half-precision conversions (VEX)"),
    ONLY_ZYDIS("FMA", "FMA: rows come with AVX"),
    ONLY_ZYDIS("FMA4", "FMA4 (AMD)"),
    ONLY_ZYDIS("GFNI", "GFNI"),
    ONLY_ZYDIS("HRESET", "HRESET"),
    ONLY_ZYDIS("INVPCID", "INVPCID: no model has PCIDs"),
    ONLY_ZYDIS("KEYLOCKER*", "Key Locker"),
    ONLY_ZYDIS("KNC*", "Knights Corner: VEX encodings that no other processor has"),
    ONLY_ZYDIS("LWP", "lightweight profiling (AMD)"),
    ONLY_ZYDIS("MCOMMIT", "MCOMMIT (AMD)"),
    ONLY_ZYDIS("MONITORX", "MONITORX (AMD)"),
    ONLY_ZYDIS("MOVDIR", "direct stores"),
    ONLY_ZYDIS("PADLOCK_*", "PadLock (VIA)"),
    ONLY_ZYDIS("PCONFIG", "PCONFIG"),
    ONLY_ZYDIS("PKU", "protection keys"),
    ONLY_ZYDIS("PT", "processor trace"),
    ONLY_ZYDIS("RDPID", "RDPID"),
    ONLY_ZYDIS("RDPRU", "RDPRU (AMD)"),
    ONLY_ZYDIS("RDRAND", "RDRAND: true randomness has no place in a replay; no model has it"),
    ONLY_ZYDIS("RDSEED", "RDSEED: as RDRAND"),
    ONLY_ZYDIS("RTM", "transactional memory"),
    ONLY_ZYDIS("SERIALIZE", "SERIALIZE"),
    ONLY_ZYDIS("SGX*", "SGX"),
    ONLY_ZYDIS("SHA", "SHA"),
    ONLY_ZYDIS("SMX", "GETSEC"),
    ONLY_ZYDIS("SNP", "SEV-SNP (AMD)"),
    ONLY_ZYDIS("SSE4A", "SSE4A (AMD)"),
    ONLY_ZYDIS("SVM", "SVM (AMD)"),
    ONLY_ZYDIS("TBM", "trailing bit manipulation (AMD)"),
    ONLY_ZYDIS("TDX", "TDX"),
    ONLY_ZYDIS("TSX_LDTRK", "TSX load tracking"),
    ONLY_ZYDIS("UINTR", "user interrupts"),
    ONLY_ZYDIS("VAES", "256-bit AES (VEX)"),
    ONLY_ZYDIS("VMFUNC", "VMX: VMFUNC"),
    ONLY_ZYDIS("VPCLMULQDQ", "256-bit PCLMULQDQ (VEX)"),
    ONLY_ZYDIS("VTX", "VMX"),
    ONLY_ZYDIS("WAITPKG", "user-mode waits"),
    ONLY_ZYDIS("XOP", "XOP (AMD)"),
    ONLY_ZYDIS("XSAVEC", "XSAVEC"),
    ONLY_ZYDIS("XSAVES", "XSAVES"),
};
const unsigned exception_count = ARRAY_LEN(exceptions);

static bool name_matches(const char *pattern, const char *name)
{
    size_t length = strlen(pattern);
    if (length && pattern[length - 1] == '*')
        return !strncmp(pattern, name, length - 1);
    return !strcmp(pattern, name);
}

static bool exception_matches(const struct exception *e, const struct comparison *c)
{
    bool ours = c->ours_status == DECODE_OK, zydis = ZYAN_SUCCESS(c->zydis_status);
    if (e->verdict != c->verdict)
        return false;
    if (e->isa_set && !(zydis && name_matches(e->isa_set, ZydisISASetGetString(c->zydis.meta.isa_set))))
        return false;
    if (e->zydis && !(zydis && name_matches(e->zydis, ZydisMnemonicGetString(c->zydis.mnemonic))))
        return false;
    if (e->ours && !(ours && name_matches(e->ours, isa_rows[c->ours.row].mnemonic)))
        return false;
    if (e->what && !(c->what && !strcmp(e->what, c->what)))
        return false;
    if (c->what && !strcmp(c->what, "length")) /* nothing excuses that */
        return false;
    return !e->applies || e->applies(c);
}

const struct exception *exception_find(const struct comparison *c)
{
    for (unsigned n = 0; n < exception_count; n++)
        if (exception_matches(&exceptions[n], c))
            return &exceptions[n];
    return NULL;
}
