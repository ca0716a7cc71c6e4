/* request.h -- what the two halves of the request parser share (parser.c reads, request.c judges).
 */
#ifndef IZ_HTTP_REQUEST_H
#define IZ_HTTP_REQUEST_H

#include "parser.h"

/* Puts the parser into its refused state; returns false. `why` must be a constant. */
bool iz_http_refuse(iz_http_parser *p, int status, const char *why);
/* Appends to the head's text; refuses (503) when memory runs out. */
bool iz_http_push(iz_http_parser *p, const char *s, size_t n);
/* Judges a complete head and fills in what follows from it; refuses what must not pass. */
bool iz_http_judge(iz_http_parser *p);

#endif
