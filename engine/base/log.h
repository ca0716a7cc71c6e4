/* log.h -- one line to stderr for what an operator should know.
 *
 * The form is that of iza.log (lua/iza/log.lua), whose lines share the stream: on a terminal
 * `2026-01-31T12:00:00.123Z WARN  http: message`, elsewhere a JSON object a line with time, level,
 * msg and from. IZA_LOG=text or json chooses, IZA_LOG_LEVEL sets the least level. A line is written
 * with one write(2), so lines of several processes do not mix. Never log secrets.
 */
#ifndef IZ_LOG_H
#define IZ_LOG_H

#include <stddef.h>

typedef enum iz_log_level { IZ_DEBUG, IZ_INFO, IZ_WARN, IZ_ERROR, IZ_OFF } iz_log_level;

/* Lines below `level` are dropped. The default is IZA_LOG_LEVEL, else IZ_INFO. */
void iz_log_set_level(iz_log_level level);
iz_log_level iz_log_get_level(void);
/* From now on lines go, as text, to `fn` instead of standard error; NULL: back to it. It may be
 * called from any thread. */
void iz_log_divert(void (*fn)(const char *line, size_t n));
/* `who` is the room that speaks: "http", "vm", "loop". Longer messages are cut at 4 KB. */
void iz_log(iz_log_level level, const char *who, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
