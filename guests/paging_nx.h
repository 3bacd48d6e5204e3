/* What formats with 8-byte entries share: execute-disable and reserved bits. */
#ifndef GUESTS_PAGING_NX_H
#define GUESTS_PAGING_NX_H

void paging_nx(void);
/* Bit `bit` of a page's entry is reserved in this format. */
void paging_reserved(unsigned bit);

#endif
