/*
 * Where on a host a balancer's config must not be: in places that belong to the
 * system, the engine, Kubernetes or apilb itself (hier(7), file-hierarchy(7)).
 */
#ifndef APILB_CORE_SPEC_PATH_H
#define APILB_CORE_SPEC_PATH_H

/*
 * path: absolute, without "", "." and ".." as parts. Returns why the config must not be there,
 * worded to follow "must not be in PLACE, ", or NULL: it may. *place: the *len bytes of path that
 * are PLACE.
 */
const char *spec_path_objection(const char *path, const char **place, int *len);

#endif
