/* project.h -- which project a program belongs to.
 *
 * A project is a folder with `iza.lua`; a script belongs to the nearest one above it, a verb to the
 * nearest one above the working directory. Its lua/ and rocks/ are on the path of `require`, and
 * with `develop = true` in iza.lua the files under its lua/ replace the embedded ones.
 */
#ifndef IZ_PROJECT_H
#define IZ_PROJECT_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* Writes the root of the project above `from` (a file or a folder; links are followed) to root.
 * False: there is none, or `from` does not exist. Costs one access(2) a level. */
bool iz_project_find(const char *from, char *root, size_t size);
/* Opens the project above `from` in a main state: runs its iza.lua, extends the paths, and lets
 * iza.project check the settings. Does nothing outside a project. Raises what is wrong in it. */
void iz_project_open(lua_State *L, const char *from);
/* The same for verbs: what is wrong with the settings is kept for iza.project, so that those that
 * show or mend it still run. */
void iz_project_try(lua_State *L, const char *from);
/* Lua: iza.core.project, {root, settings, problem()}; all nil outside a project. */
int iz_open_project(lua_State *L);

#endif
