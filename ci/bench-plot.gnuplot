# The picture of ci/bench: reads bench.dat in `folder`, writes bench.svg. Greys and colours that a light and a dark page bear.
set terminal svg size 1000,420 dynamic font "sans-serif,13"
set output folder.'/bench.svg'
grey = "#808890"
set border 3 lc rgb grey
set tics textcolor rgb grey nomirror
set ylabel "× native (log scale)" textcolor rgb grey
set title "Same machine code, several engines: time relative to the processor itself (shorter is better)" textcolor rgb grey
set key outside bottom center horizontal textcolor rgb grey samplen 1.5
set logscale y 10
set yrange [0.8:*]
set grid ytics lc rgb grey lw 0.4 dt 2
set style data histogram
set style histogram clustered gap 1.4
set style fill solid 0.95 noborder
set boxwidth 0.95
set xtics scale 0
set bmargin 5
plot folder.'/bench.dat' using 2:xtic(1) title "Reprise interp" lc rgb "#2f7ed8", \
     '' using 3 title "Bochs 2.7" lc rgb "#d98a1f", \
     '' using 6 title "Unicorn 2" lc rgb "#9a6fb0", \
     '' using 5 title "QEMU -icount" lc rgb "#4f9d5d", \
     '' using 4 title "QEMU TCG" lc rgb "#9ccf8c"
