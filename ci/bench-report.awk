# Turns the raw measurements of ci/bench into bench.json, bench.txt and bench.dat (for the picture), in `folder`.
# Variables: rounds, processor, host, folder. Input lines:
#     kernel ENGINE BITS ITERATIONS NAME CHECKSUM TICKS CPU WALL     memory TOUCHED-MIB PEAK-BYTES
#     start NAME WALL     boot ENGINE FLAVOUR CPU WALL PEAK-BYTES     insns FLAVOUR COUNT
# Ends with status 1 if checksums differ.

function add(key, value) { count[key]++; sample[key, count[key]] = value }

# Medians, by insertion sort: there are few values.
function median(key,    n, i, j, kept, sorted) {
    n = count[key]
    for (i = 1; i <= n; i++) {
        kept = sample[key, i]
        for (j = i - 1; j >= 1 && sorted[j] > kept; j--)
            sorted[j + 1] = sorted[j]
        sorted[j + 1] = kept
    }
    return n == 0 ? 0 : n % 2 ? sorted[(n + 1) / 2] : (sorted[n / 2] + sorted[n / 2 + 1]) / 2
}

BEGIN {
    engines = split("interp bochs qemu qemu-icount unicorn", engine, " ")
    titles = split("Reprise interp|Bochs 2.7|QEMU TCG|QEMU -icount|Unicorn 2", title, "|")
}

$1 == "kernel" {
    if (!($5 in known)) { known[$5] = 1; name[++names] = $5 }
    work = $5 " " $4
    if (!(work in checksum)) { checksum[work] = $6; source[work] = $2 " (" $3 " bits)" }
    else if (checksum[work] != $6) {
        printf "kernel %s, %d iterations: %s says %s, %s (%s bits) says %s\n", $5, $4, source[work], checksum[work], $2, $3, $6 > "/dev/stderr"
        wrong = 1
    }
    if ($2 != "native" || $4 > most[$3 $5]) {
        if ($2 == "native") { most[$3 $5] = $4; count["native " $3 " " $5] = 0; count["wall native " $3 " " $5] = 0 }
    }
    if ($2 == "native" && $4 < most[$3 $5]) next
    add($2 " " $3 " " $5, ($8 > 0 ? $8 : 1e-6) / $4) # 0: the stopwatch saw both marks at once
    add("wall " $2 " " $3 " " $5, $9 / $4)
    if ($2 == "interp") ticks[$3, $5] = $7 / $4
}
$1 == "memory" { beyond = $3 / 1048576 - $2; if (beyond > overhead) overhead = beyond }
$1 == "start" { add("start " $2, $3) }
$1 == "boot" { add("boot " $2 " " $3, $5); add("bootcpu " $2 " " $3, $4); add("peak " $2 " " $3, $6); booted[$3] = 1 }
$1 == "insns" { insns[$2] = $3 }

function ratio(e, bits, k) { return median(e " " bits " " k) / median("native " bits " " k) }
function mips(bits, k) { return ticks[bits, k] / median("interp " bits " " k) / 1e6 }
function faster(bits, k) { return median("bochs " bits " " k) / median("interp " bits " " k) }
function show(value) { return value < 10 ? sprintf("%.2f", value) : value < 100 ? sprintf("%.1f", value) : sprintf("%.0f", value) }

function table(bits,    i, e, k, sum) {
    printf "%-14s %14s %10s %10s %12s %10s %15s %8s\n", bits "-bit guest", title[1], title[2], title[3], title[4], title[5], "interp / Bochs", "MIPS" > text
    for (i = 1; i <= names; i++) {
        k = name[i]
        printf "  %-12s %14s %10s %10s %12s %10s %14s× %8s\n", k, show(ratio("interp", bits, k)), show(ratio("bochs", bits, k)), \
            show(ratio("qemu", bits, k)), show(ratio("qemu-icount", bits, k)), show(ratio("unicorn", bits, k)), \
            show(faster(bits, k)), show(mips(bits, k)) > text
        if (k == "movs") continue
        for (e = 1; e <= engines; e++) sum[e] += log(ratio(engine[e], bits, k))
        sum["f"] += log(faster(bits, k)); sum["m"] += log(mips(bits, k))
        note(bits, k)
    }
    # An iteration of a string instruction is not an instruction like others: movs would lift the means.
    e = names - ("movs" in known)
    printf "  %-12s %14s %10s %10s %12s %10s %14s× %8s\n\n", "mean *", show(exp(sum[1] / e)), show(exp(sum[2] / e)), \
        show(exp(sum[3] / e)), show(exp(sum[4] / e)), show(exp(sum[5] / e)), show(exp(sum["f"] / e)), \
        show(exp(sum["m"] / e)) > text
    all_faster += sum["f"]; all_mips += sum["m"]; summed += e
}

# The worst kernels of all.
function note(bits, k) {
    if (!worst_f || faster(bits, k) < worst_f) { worst_f = faster(bits, k); worst_f_name = k " in " bits " bits" }
    if (!worst_m || mips(bits, k) < worst_m) { worst_m = mips(bits, k); worst_m_name = k " in " bits " bits" }
}

function goal(what, wanted, got) { printf "  %-46s %-22s %s\n", what, wanted, got > text }

function goals(    line) {
    printf "* geometric, without movs, whose REP iterations count as instructions\n\n" > text
    printf "%-48s %-22s %s\n", "Goals", "wanted", "measured" > text
    goal("speed of the interpreter relative to Bochs 2.7", "at least 1", sprintf("%s (least: %s, %s)", \
        show(exp(all_faster / summed)), show(worst_f), worst_f_name))
    goal("million instructions a second", "at least 40", sprintf("%s (least: %s, %s)", \
        show(exp(all_mips / summed)), show(worst_m), worst_m_name))
    goal("memory beyond what the guest touches", "at most 64 MiB", sprintf("%.1f MiB", overhead))
    line = sprintf("%.1f ms", 1000 * median("start guest"))
    if (count["start debian"]) line = line sprintf("; with Debian's amd64 kernel and initrd %.1f ms", 1000 * median("start debian"))
    goal("cold start, process start to first instruction", "less than 50 ms", line)
}

function boots(    i, f, flavour, n) {
    n = split("686 686-pae amd64", flavour, " ")
    printf "\n%-30s %14s %10s %10s %20s\n", "Debian, power-on to power-off", title[1], title[3], title[2], "million instructions" > text
    for (i = 1; i <= n; i++) {
        f = flavour[i]
        if (!(f in booted)) continue
        printf "  %-28s %12.1f s %8.1f s %10s %20.0f\n", f, median("bootcpu interp " f), median("bootcpu qemu " f), \
            count["bootcpu bochs " f] ? sprintf("%.0f s", median("bootcpu bochs " f)) : "-", insns[f] / 1e6 > text
    }
}

function json(    i, e, b, k, f, comma) {
    printf "{\n  \"processor\": \"%s\",\n  \"system\": \"%s\",\n  \"rounds\": %d,\n  \"kernels\": [", processor, host, rounds > data
    for (b = 32; b <= 64; b += 32)
        for (i = 1; i <= names; i++) {
            k = name[i]
            printf "%s\n    {\"bits\": %d, \"kernel\": \"%s\", \"instructions\": %.0f, \"mips\": %.2f, \"native_ns\": %.0f", comma, b, k, \
                ticks[b, k], mips(b, k), 1e9 * median("native " b " " k) > data
            for (e = 1; e <= engines; e++)
                printf ",\n     \"%s\": {\"cpu_ns\": %.0f, \"wall_ns\": %.0f, \"ratio\": %.3f}", engine[e], \
                    1e9 * median(engine[e] " " b " " k), 1e9 * median("wall " engine[e] " " b " " k), ratio(engine[e], b, k) > data
            printf "}" > data
            comma = ","
        }
    printf "\n  ],\n  \"interp_speed_over_bochs\": %.3f,\n  \"interp_mips\": %.2f,\n", exp(all_faster / summed), exp(all_mips / summed) > data
    printf "  \"memory_beyond_touched_mib\": %.2f,\n  \"cold_start_ms\": {\"guest\": %.2f", overhead, 1000 * median("start guest") > data
    if (count["start debian"]) printf ", \"debian_amd64\": %.2f", 1000 * median("start debian") > data
    printf "},\n  \"linux\": {" > data
    comma = ""
    for (f in booted) {
        printf "%s\n    \"%s\": {\"instructions\": %.0f", comma, f, insns[f] > data
        for (e = 1; e <= engines; e++)
            if (count["boot " engine[e] " " f])
                printf ", \"%s\": {\"wall_s\": %.3f, \"cpu_s\": %.3f, \"peak_bytes\": %.0f}", engine[e], median("boot " engine[e] " " f), \
                    median("bootcpu " engine[e] " " f), median("peak " engine[e] " " f) > data
        printf "}" > data
        comma = ","
    }
    printf "\n  }\n}\n" > data
}

# Geometric means of the two widths, for the picture.
function picture(    i, e, k) {
    for (i = 1; i <= names; i++) {
        k = name[i]
        printf "%s", k > plot
        for (e = 1; e <= engines; e++) printf " %.4f", sqrt(ratio(engine[e], 32, k) * ratio(engine[e], 64, k)) > plot
        printf "\n" > plot
    }
}

END {
    if (wrong) exit 1
    text = folder "/bench.txt"; data = folder "/bench.json"; plot = folder "/bench.dat"
    printf "Processor time, in multiples of the same machine code run natively: smaller is better; 1 is native. Median of %d round%s.\n", \
        rounds, (rounds > 1 ? "s" : "") > text
    printf "%s, %s. MIPS: million guest instructions a second in the interpreter.\n\n", processor, host > text
    table(32)
    table(64)
    goals()
    for (f in booted) { boots(); break }
    json()
    picture()
}
