# Included by ctest before it runs the tests: hundreds of guests must not fill the ring of recent runs in somebody's
# home.
set(ENV{REPRISE_RECORD} off)
