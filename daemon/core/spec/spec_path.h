/*
 * Where on a host a balancer's config must not be: in places of the system, of
 * the engine, of Kubernetes and of apilb itself (hier(7), file-hierarchy(7)).
 */
#ifndef APILB_CORE_SPEC_PATH_H
#define APILB_CORE_SPEC_PATH_H

/* path: absolute, every part of it a name. What that place is, in words that follow "in PLACE, ", or
 * NULL: no such place. *place (of *len bytes): the beginning of the path that is meant. */
const char *spec_path_objection(const char *path, const char **place, int *len);

#endif
