/* log_prefix: the numbers that logs are made of are written within their room. Reading them, proofs/eva/log.c shows. */
#include "replay/log_format.c"
