#include "core/vmx.h"

enum kind { KIND_TEXT, KIND_NUMBER, KIND_CHOICE };

static const char *const flags[] = {"FALSE", "TRUE", NULL};
static const char *const clocks[] = {"virtual", "wall", NULL};
static const char *const logs[] = {"none", "com2", "com3", "com4", NULL};

#define FIELD(name) offsetof(struct vmx, name)

static const struct key {
    const char *name;
    enum kind kind;
    size_t field;
    u64 least, most;            /* KIND_NUMBER */
    const char *const *choices; /* KIND_CHOICE: by value, NULL at the end */
    const char *action;         /* what to write instead of a value that is none */
} keys[] = {
    {"displayName", KIND_TEXT, FIELD(display_name), 0, 0, NULL, NULL},
    {"memsize", KIND_NUMBER, FIELD(memory_mib), 1, 512 << 10, NULL, "write the guest's memory in MiB, 1 to 524288"},
    {"numvcpus", KIND_NUMBER, FIELD(processors), 1, 1, NULL, "write 1: a guest has one processor"},
    {"reprise.kernel", KIND_TEXT, FIELD(kernel), 0, 0, NULL, NULL},
    {"reprise.initrd", KIND_TEXT, FIELD(initrd), 0, 0, NULL, NULL},
    {"reprise.append", KIND_TEXT, FIELD(append), 0, 0, NULL, NULL},
    {"reprise.module0", KIND_TEXT, FIELD(module[0]), 0, 0, NULL, NULL},
    {"reprise.module1", KIND_TEXT, FIELD(module[1]), 0, 0, NULL, NULL},
    {"reprise.module2", KIND_TEXT, FIELD(module[2]), 0, 0, NULL, NULL},
    {"reprise.module3", KIND_TEXT, FIELD(module[3]), 0, 0, NULL, NULL},
    {"reprise.module4", KIND_TEXT, FIELD(module[4]), 0, 0, NULL, NULL},
    {"reprise.module5", KIND_TEXT, FIELD(module[5]), 0, 0, NULL, NULL},
    {"reprise.module6", KIND_TEXT, FIELD(module[6]), 0, 0, NULL, NULL},
    {"reprise.module7", KIND_TEXT, FIELD(module[7]), 0, 0, NULL, NULL},
    {"reprise.engine", KIND_TEXT, FIELD(engine), 0, 0, NULL, NULL},
    {"reprise.cpu", KIND_TEXT, FIELD(cpu), 0, 0, NULL, NULL},
    {"reprise.replay", KIND_TEXT, FIELD(replay), 0, 0, NULL, NULL},
    {"reprise.clock", KIND_CHOICE, FIELD(clock), 0, 0, clocks, "write virtual or wall"},
    {"reprise.log", KIND_CHOICE, FIELD(log), 0, 0, logs, "write none, com2, com3 or com4"},
    {"reprise.checkpoint", KIND_NUMBER, FIELD(checkpoint), 0, UINT64_MAX, NULL, "write a number of instructions"},
    {"reprise.rtc", KIND_NUMBER, FIELD(rtc), 0, UINT32_MAX, NULL, "write seconds since 1970, at most 4294967295"},
    {"reprise.shares", KIND_NUMBER, FIELD(shares), 1, 1000000, NULL, "write a number from 1 to 1000000"},
    {"reprise.cap", KIND_NUMBER, FIELD(cap_percent), 1, 100, NULL, "write a percentage from 1 to 100"},
    {"reprise.debugExit", KIND_CHOICE, FIELD(debug_exit), 0, 0, flags, "write TRUE or FALSE"},
    {"reprise.resetExits", KIND_CHOICE, FIELD(reset_exits), 0, 0, flags, "write TRUE or FALSE"},
};
static const char prefix[] = "reprise.";

/* A piece of the file. */
struct piece {
    const char *at;
    size_t bytes;
};

struct parser {
    struct vmx *vmx;
    struct vmx_error *error;
    unsigned line;
    u64 seen; /* bit n: keys[n] */
};
_Static_assert(ARRAY_LEN(keys) <= 64, "parser.seen");

static const char nothing[] = "";

/*@ predicate piece_valid(struct piece p) = p.bytes <= 0x1000000000000 && \valid_read(p.at + (0 .. p.bytes - 1));
    // It lies within another.
    predicate piece_inside(struct piece p, struct piece q) =
      q.at <= p.at && p.at + p.bytes <= q.at + q.bytes && \base_addr(p.at) == \base_addr(q.at) && p.bytes <= q.bytes;
    predicate parser_valid(struct parser *p) = \valid(p) && \valid(p->vmx) && \valid(p->error); */

/*@ requires parser_valid(p) && piece_valid(subject) && \separated(p->error, p);
    assigns *p->error;
    ensures refused: \result == 0; */
static bool refuse(const struct parser *p, struct piece subject, const char *what, const char *action)
{
    struct vmx_error *e = p->error;
    size_t n = 0;
    *e = (struct vmx_error){.line = p->line, .what = what, .action = action};
    /*@ loop invariant 0 <= n <= VMX_SUBJECT_BYTES - 1 && n <= subject.bytes;
        loop assigns n, e->subject[0 .. VMX_SUBJECT_BYTES - 1];
        loop variant VMX_SUBJECT_BYTES - n; */
    for (; n < subject.bytes && n < VMX_SUBJECT_BYTES - 1; n++)
        e->subject[n] = subject.at[n] >= ' ' && subject.at[n] < 127 ? subject.at[n] : '?';
    return false;
}

//@ assigns \nothing;
static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

/* Do the first bytes of the piece, or all of them, spell `text`? Without regard to case. */
static bool spells(struct piece piece, const char *text, bool all)
{
    size_t n = strlen(text);
    if (piece.bytes < n || (all && piece.bytes != n))
        return false;
    for (size_t i = 0; i < n; i++)
        if (lower(piece.at[i]) != lower(text[i]))
            return false;
    return true;
}

//@ assigns \nothing;
static bool blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

/*@ requires piece_valid(p);
    assigns \nothing;
    ensures trimmed: piece_valid(\result) && \result.bytes <= p.bytes; */
static struct piece trimmed(struct piece p)
{
    size_t first = 0, end = p.bytes;
    /*@ loop invariant 0 <= first <= end;
        loop assigns first;
        loop variant end - first; */
    while (first < end && blank(p.at[first]))
        first++;
    /*@ loop invariant first <= end <= p.bytes;
        loop assigns end;
        loop variant end; */
    while (end > first && blank(p.at[end - 1]))
        end--;
    return (struct piece){p.at + first, end - first};
}

/*@ assigns \nothing;
    ensures digit: -1 <= \result <= 15; */
static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*@ requires \valid(p) && piece_valid(*p) && p->bytes > 0;
    requires \separated(p, p->at + (0 .. p->bytes - 1));
    assigns *p;
    ensures shorter: piece_valid(*p) && p->bytes < \old(p->bytes) && p->at + p->bytes == \old(p->at + p->bytes);
    ensures byte: \result <= 255; */
/* The byte that begins the piece, which is shortened by it; negative for one that has no place in a text. */
static int next_byte(struct piece *p)
{
    int byte = (u8)p->at[0];
    size_t used = 1;
    if (byte == '|') {
        int high = p->bytes > 2 ? hex_digit(p->at[1]) : -1, low = p->bytes > 2 ? hex_digit(p->at[2]) : -1;
        if (high < 0 || low < 0)
            return -1;
        byte = high * 16 + low;
        used = 3;
    }
    p->at += used;
    p->bytes -= used;
    return byte >= ' ' || byte == '\t' ? byte : -1;
}

/*@ requires parser_valid(p) && \separated(p->error, p);
    assigns *p->error;
    ensures refused: \result == 0; */
static bool text_too_long(const struct parser *p)
{
    return refuse(p, (struct piece){nothing, 0}, "the texts are longer than 16 KiB together", "shorten them");
}

/*@ requires parser_valid(p) && piece_valid(value) && \valid(to) && p->vmx->text_used <= VMX_TEXT_BYTES;
    requires \separated(p, p->vmx, p->error, to);
    assigns *p->error, p->vmx->text_used, p->vmx->text[0 .. VMX_TEXT_BYTES - 1], *to;
    ensures room: p->vmx->text_used <= VMX_TEXT_BYTES; */
static bool take_text(struct parser *p, struct piece value, const char **to)
{
    struct vmx *v = p->vmx;
    struct piece rest = value;
    const char *text = v->text + v->text_used;
    /*@ loop invariant piece_valid(rest) && rest.bytes <= value.bytes;
        loop invariant p->vmx == v && parser_valid(p) && v->text_used <= VMX_TEXT_BYTES;
        loop assigns rest, *p->error, v->text_used, v->text[0 .. VMX_TEXT_BYTES - 1];
        loop variant rest.bytes; */
    while (rest.bytes) {
        int byte = next_byte(&rest);
        if (byte < 0)
            return refuse(p, value, "a character that a text cannot hold", "write printable characters, and | as |7C");
        if (v->text_used == VMX_TEXT_BYTES)
            return text_too_long(p);
        v->text[v->text_used++] = (char)byte;
    }
    if (v->text_used == VMX_TEXT_BYTES)
        return text_too_long(p);
    v->text[v->text_used++] = 0;
    *to = text;
    return true;
}

/*@ requires parser_valid(p) && piece_valid(value) && \valid(to) && \valid_read(key);
    requires \separated(p, p->error, to, key);
    assigns *p->error, *to;
    ensures range: \result == 1 ==> key->least <= *to <= key->most; */
static bool take_number(struct parser *p, const struct key *key, struct piece value, u64 *to)
{
    u64 number = 0;
    bool ok = value.bytes;
    /*@ loop invariant 0 <= n <= value.bytes;
        loop assigns n, ok, number;
        loop variant value.bytes - n; */
    for (size_t n = 0; ok && n < value.bytes; n++) {
        unsigned digit = (unsigned)(value.at[n] - '0');
        ok = digit < 10 && number <= (UINT64_MAX - digit) / 10;
        number = number * 10 + digit;
    }
    if (!ok || number < key->least || number > key->most)
        return refuse(p, value, "is no value that this key can have", key->action);
    *to = number;
    return true;
}

static bool take_choice(struct parser *p, const struct key *key, struct piece value, u64 *to)
{
    for (u64 n = 0; key->choices[n]; n++)
        if (spells(value, key->choices[n], true)) {
            *to = n;
            return true;
        }
    return refuse(p, value, "is no value that this key can have", key->action);
}

static bool take_value(struct parser *p, const struct key *key, struct piece value)
{
    void *field = (char *)p->vmx + key->field;
    switch (key->kind) {
    case KIND_TEXT: return take_text(p, value, field);
    case KIND_NUMBER: return take_number(p, key, value, field);
    case KIND_CHOICE: return take_choice(p, key, value, field);
    }
    return false;
}

/*@ requires parser_valid(p) && \valid(value) && piece_valid(*value) && \separated(p, p->error, value);
    assigns *p->error, *value;
    ensures inside: piece_valid(*value) && value->bytes <= \old(value->bytes); */
/* What stands right of the `=`, without its quotes. */
static bool unquote(struct parser *p, struct piece *value)
{
    if (!value->bytes || value->at[0] != '"')
        return true;
    if (value->bytes < 2 || value->at[value->bytes - 1] != '"')
        return refuse(p, *value, "a quote that is not closed at the end of the line", "write key = \"value\"");
    value->at++;
    value->bytes -= 2;
    /*@ loop invariant 0 <= n <= value->bytes;
        loop assigns n;
        loop variant value->bytes - n; */
    for (size_t n = 0; n < value->bytes; n++)
        if (value->at[n] == '"')
            return refuse(p, *value, "a quote within quotes", "write it as |22");
    return true;
}

static bool take_line(struct parser *p, struct piece line)
{
    size_t equals = 0;
    line = trimmed(line);
    if (!line.bytes || line.at[0] == '#')
        return true;
    while (equals < line.bytes && line.at[equals] != '=')
        equals++;
    if (equals == line.bytes)
        return refuse(p, line, "is no setting", "write key = value, or # in front of a comment");
    struct piece name = trimmed((struct piece){line.at, equals});
    struct piece value = trimmed((struct piece){line.at + equals + 1, line.bytes - equals - 1});
    if (!name.bytes)
        return refuse(p, line, "has no key", "write key = value");
    if (!unquote(p, &value))
        return false;
    for (unsigned n = 0; n < ARRAY_LEN(keys); n++) {
        if (!spells(name, keys[n].name, true))
            continue;
        if (p->seen >> n & 1)
            return refuse(p, name, "stands twice", "remove one of the two lines");
        p->seen |= 1ull << n;
        return take_value(p, &keys[n], value);
    }
    if (spells(name, prefix, false))
        return refuse(p, name, "is unknown", "check its spelling");
    return true; /* somebody else's */
}

static bool complete(struct parser *p)
{
    struct vmx *v = p->vmx;
    const struct piece none = {nothing, 0};
    p->line = 0;
    if (!v->kernel[0] && !v->replay[0])
        return refuse(p, none, "says neither what to boot nor what to replay", "add reprise.kernel = NAME");
    if (v->kernel[0] && v->replay[0])
        return refuse(p, none, "names a kernel and a recorded run, which has its own", "remove reprise.kernel");
    for (unsigned n = 1; n < VMX_MODULES; n++)
        if (v->module[n][0] && !v->module[n - 1][0])
            return refuse(p, none, "leaves out a number between two modules", "number reprise.module0, 1, ... on");
    return true;
}

bool vmx_parse(const char *file, size_t bytes, struct vmx *vmx, struct vmx_error *error)
{
    struct parser p = {.vmx = vmx, .error = error};
    vmx->text_used = 0;
    vmx->memory_mib = 256;
    vmx->processors = 1;
    vmx->clock = VMX_CLOCK_VIRTUAL;
    vmx->log = VMX_LOG_NONE;
    vmx->checkpoint = 100000000;
    vmx->rtc = 1735689600;
    vmx->shares = 1000;
    vmx->cap_percent = 100;
    vmx->debug_exit = vmx->reset_exits = 0;
    for (unsigned n = 0; n < ARRAY_LEN(keys); n++)
        if (keys[n].kind == KIND_TEXT)
            *(const char **)((char *)vmx + keys[n].field) = nothing;
    for (size_t at = 0, end; at < bytes; at = end + 1) {
        for (end = at; end < bytes && file[end] != '\n'; end++)
            ;
        p.line++;
        if (!take_line(&p, (struct piece){file + at, end - at}))
            return false;
    }
    return complete(&p);
}
