/* pending.h -- what of HTTP is on its way, for virtual time.
 *
 * Virtual time stands still while a request is in flight: a client's that neither side of it makes
 * wait, or a server's whose client has something to send or to take. A connection of the program to
 * itself has both ends here: while the server's end works on the request, nothing is on its way,
 * and a handler that sleeps has its time pass. Idle kept connections and listeners are never
 * pending. Asked only when the loop would let virtual time pass; nothing is counted meanwhile.
 */
#ifndef IZ_HTTP_PENDING_H
#define IZ_HTTP_PENDING_H

#include "http/conn.h"
#include "http/transfer.h"

/* Each client and server enters itself for its life. */
void iz_pending_add_client(iz_client *c);
void iz_pending_remove_client(iz_client *c);
void iz_pending_add_server(iz_http_server *s);
void iz_pending_remove_server(iz_http_server *s);

#endif
