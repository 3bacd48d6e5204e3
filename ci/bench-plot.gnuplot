# The picture of ci/bench: reads bench.plot and the panels' .dat files in `folder`, writes bench.svg. Greys and
# colours that a light and a dark page bear.
load folder.'/bench.plot'
count = words(panels)
set terminal svg size 1000,(360 * (count > 0 ? count : 1)) dynamic font "sans-serif,13"
set output folder.'/bench.svg'
grey = "#808890"
set border 3 lc rgb grey
set tics textcolor rgb grey nomirror
set key outside bottom center horizontal textcolor rgb grey samplen 1.5
set logscale y 10
set grid ytics lc rgb grey lw 0.4 dt 2
set style data histogram
set style histogram clustered gap 1.4
set style fill solid 0.95 noborder
set boxwidth 0.95
set xtics scale 0 rotate by -25 font "sans-serif,11"
title_of(panel) = \
    panel eq "hot" ? "The same machine code: time relative to the processor itself (shorter is better)" : \
    panel eq "events" ? "What kernels do often: nanoseconds each" : "Debian: seconds"
label_of(panel) = panel eq "hot" ? "× native" : panel eq "events" ? "ns" : "s"
name_of(engine) = engine eq "qemu" ? "QEMU TCG" : engine eq "qemu-icount" ? "QEMU -icount" : \
    engine eq "bochs" ? "Bochs" : engine eq "unicorn" ? "Unicorn" : "Reprise ".engine
set multiplot layout (count > 0 ? count : 1),1
do for [p = 1:count] {
    panel = word(panels, p)
    engines = value(panel.'_engines')
    colours = value(panel.'_colours')
    set title title_of(panel) textcolor rgb grey
    set ylabel label_of(panel)." (log scale)" textcolor rgb grey
    if (panel eq "hot") { set yrange [0.5:*]; set arrow 1 from graph 0,first 1 to graph 1,first 1 nohead lc rgb grey
    } else { set yrange [*:*]; unset arrow }
    plot for [i = 1:words(engines)] folder.'/'.panel.'.dat' using (column(i + 1)):xtic(1) \
        title name_of(word(engines, i)) lc rgb word(colours, i)
}
unset multiplot
