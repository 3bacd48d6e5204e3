/* Configurations (core/vmx.h) that anybody may have written: whatever the bytes, the answer is a configuration whose
 * values are in range and whose texts end inside their room, or an error that a person can use. */
#include "fuzz/fuzz.h"

#include "core/vmx.h"

#include <string.h>

static struct vmx vmx;
static struct vmx_error error;

static void check_text(const char *text)
{
    bool inside = text >= vmx.text && text < vmx.text + VMX_TEXT_BYTES;
    FUZZ_CHECK(inside ? memchr(text, 0, (size_t)(vmx.text + VMX_TEXT_BYTES - text)) != NULL : !*text);
}

static void check_values(void)
{
    const char *const texts[] = {vmx.display_name, vmx.kernel, vmx.initrd, vmx.append, vmx.engine, vmx.cpu, vmx.replay};
    for (size_t n = 0; n < ARRAY_LEN(texts); n++)
        check_text(texts[n]);
    for (unsigned n = 0; n < VMX_MODULES; n++)
        check_text(vmx.module[n]);
    FUZZ_CHECK(vmx.text_used <= VMX_TEXT_BYTES);
    FUZZ_CHECK(vmx.memory_mib >= 1 && vmx.memory_mib <= 512 << 10);
    FUZZ_CHECK(vmx.processors == 1 && vmx.clock <= VMX_CLOCK_WALL && vmx.log <= VMX_LOG_COM4);
    FUZZ_CHECK(vmx.debug_exit <= 1 && vmx.reset_exits <= 1 && vmx.rtc <= UINT32_MAX);
    FUZZ_CHECK(vmx.shares >= 1 && vmx.cap_percent >= 1 && vmx.cap_percent <= 100);
    FUZZ_CHECK(!vmx.kernel[0] != !vmx.replay[0]);
}

int fuzz_one(const uint8_t *data, size_t size)
{
    if (vmx_parse((const char *)data, size, &vmx, &error)) {
        check_values();
        return 0;
    }
    FUZZ_CHECK(error.what && error.action && error.line <= size + 1);
    FUZZ_CHECK(memchr(error.subject, 0, sizeof error.subject));
    return 0;
}
