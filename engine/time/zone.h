/* zone.h -- time zone files of the system (package tzdata).
 *
 * The engine only finds and reads them; lua/iza/time.lua understands their bytes (RFC 8536). A name
 * comes from people and stored data, so it is checked before it touches the file system: it cannot
 * leave the zone directory.
 */
#ifndef IZ_ZONE_H
#define IZ_ZONE_H

#include "base/buf.h"
#include "base/err.h"

enum { IZ_ZONE_NAME_MAX = 64 };

/* Whether it has the form of a zone name: parts of [A-Za-z0-9_+-] joined by single slashes, at most
 * 64 characters. */
bool iz_zone_name_ok(const char *name);
/* Appends the bytes of the zone's file to out. Errors: "invalid" (not a name), "not_found" (no such
 * zone), "missing_tzdata" (no zone directory: the message names the package), an errno name. */
bool iz_zone_read(const char *name, iz_buf *out, iz_err *err);
/* The name of this machine's zone: TZ if it is a name, else where /etc/localtime points, else
 * "UTC". */
void iz_zone_local(char out[IZ_ZONE_NAME_MAX + 1]);

#endif
